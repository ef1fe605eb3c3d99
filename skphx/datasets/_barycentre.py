"""barycentric_velocity: the velocity of an observatory towards a star."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astropy.coordinates import EarthLocation
    from astropy.time import Time


def barycentric_velocity(
    ra: float,
    dec: float,
    time: "str | float | Time",
    location: "tuple[float, float, float] | EarthLocation",
) -> float:
    """Velocity of an observatory towards a star, relative to the barycentre of the solar system.

    Parameters
    ----------
    ra, dec : float
        Position of the star in degrees, ICRS.
    time : str, float or astropy Time
        Middle of the exposure, UTC: an ISO date, or a Julian date.
    location : tuple (longitude, latitude, height) or astropy EarthLocation
        Position of the observatory: degrees east, degrees north, and m.

    Returns
    -------
    float
        Velocity in km/s, to be added to a velocity measured at the observatory. Wavelengths at
        the barycentre are the measured ones times 1 + velocity/c.

    References
    ----------
    Wright, J. T. & Eastman, J. D. (2014), PASP 126, 838. Computed by astropy.

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
    # The rotation of the Earth is known precisely enough without the daily tables, so that nothing
    # has to be downloaded.
    with (
        iers.conf.set_temp("auto_download", False),
        iers.conf.set_temp("iers_degraded_accuracy", "ignore"),
    ):
        correction = star.radial_velocity_correction(
            "barycentric", obstime=time, location=location
        )
    return float(correction.to_value(units.km / units.s))
