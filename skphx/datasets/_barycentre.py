"""The motion of an observatory towards a star."""


def barycentric_velocity(ra, dec, time, location):
    """Velocity of an observatory towards a star, with respect to the solar system's barycentre.

    Parameters
    ----------
    ra, dec : float
        Position of the star in degrees, ICRS.
    time : str, float or astropy Time
        Middle of the exposure, UTC: an ISO date, or a Julian date.
    location : tuple (longitude, latitude, height) or astropy EarthLocation
        Of the observatory, in degrees east and north, and m.

    Returns
    -------
    float
        km/s, to be added to a velocity measured at the observatory; wavelengths times
        1 + velocity/c are those at the barycentre.

    References
    ----------
    Wright, J. T. & Eastman, J. D. (2014), PASP 126, 838; computed by astropy.

    Examples
    --------
    >>> from skphx.datasets import barycentric_velocity
    >>> mcdonald = (-104.0147, 30.6814, 2026.0)
    >>> round(barycentric_velocity(269.4521, 4.6934, "2018-10-03T01:49:05", mcdonald), 1)
    -25.9
    """
    from astropy import units
    from astropy.coordinates import EarthLocation, SkyCoord
    from astropy.time import Time
    from astropy.utils import iers

    if not isinstance(location, EarthLocation):
        longitude, latitude, height = location
        location = EarthLocation.from_geodetic(longitude, latitude, height)
    if not isinstance(time, Time):
        time = Time(time, format="jd") if isinstance(time, int | float) else Time(time)
    star = SkyCoord(ra * units.deg, dec * units.deg)
    # The Earth's rotation is known well enough without the tables of the day: no download.
    with (
        iers.conf.set_temp("auto_download", False),
        iers.conf.set_temp("iers_degraded_accuracy", "ignore"),
    ):
        correction = star.radial_velocity_correction(
            "barycentric", obstime=time, location=location
        )
    return float(correction.to_value(units.km / units.s))
