"""CalibrationDisplay: corrections of lines, stars left out, and one star before and after."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from skphx._domain import SPEED_OF_LIGHT
from skphx.calibration import LineCalibrator
from skphx.calibration._reference_star import ReferenceStar
from skphx.inference._star_list import StarsLike, list_stars
from skphx.inspection._axes import (
    FLUX,
    WAVELENGTH,
    axis_label,
    format_star,
    import_pyplot,
    panels,
    unit,
)
from skphx.inspection._lines import in_window
from skphx.observing._kernels import shift_of_velocity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Arrays of each kind of picture.
_FIELDS = {
    "corrections": (
        "center", "species", "depth", "strength", "strength_error", "width", "width_error",
    ),
    "left_out": ("names", "parameter_names", "shift", "error"),
    "star": ("wavelength", "segment", "flux", "uncorrected", "corrected"),
}  # fmt: skip
# Species with a colour of their own; those of fewer lines are grey.
_N_COLORS = 8
_OTHER = "0.6"
_QUANTITIES = {"strength": "change of ln strength", "width": "change of ln width"}


class CalibrationDisplay:
    """What a calibration has changed, and how well stars that are left out are predicted.

    There are three kinds: ``"corrections"`` shows the corrections of all lines, ``"left_out"``
    the errors of the stellar parameters of stars that had no part in the corrections, and
    ``"star"`` the models of a star before and after correction.

    Parameters
    ----------
    kind : {"corrections", "left_out", "star"}
        What is drawn.
    data : mapping of str to array-like
        For ``"corrections"``, arrays of shape (n_lines,): `center` (Å), `species`, `depth`
        (optical depth), `strength`, `width` (changes of ln strength and ln width), and
        `strength_error`, `width_error`.

        For ``"left_out"``: `names` of shape (n_spectra,), `parameter_names`, and `shift`, `error`
        of shape (n_spectra, n_parameters), inferred minus reference and its standard error.

        For ``"star"``, arrays of shape (n_pixels,): `wavelength` at rest (Å), `segment` (number),
        `flux` (NaN where it is not used), and the models `uncorrected` and `corrected`, in units
        of the continuum.
    title : str or None
        Text above the picture.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        The panels, set by `plot`: strength and width; one for each parameter; or flux, and the
        residuals before and after correction.
    ax_, figure_ : matplotlib Axes and Figure
        The first panel, and its figure.

    See Also
    --------
    skphx.calibration.LineCalibrator : learns the corrections.

    Examples
    --------
    >>> from skphx.inspection import CalibrationDisplay
    >>> data = {"names": ["A", "B"], "parameter_names": ("teff", "logg"),
    ...         "shift": [[20.0, 0.1], [-30.0, 0.0]], "error": [[25.0, 0.1], [25.0, 0.1]]}
    >>> display = CalibrationDisplay("left_out", data)
    >>> display.data["shift"].shape
    (2, 2)
    """

    def __init__(
        self,
        kind: Literal["corrections", "left_out", "star"],
        data: Mapping[str, Any],
        *,
        title: str | None = None,
    ) -> None:
        if kind not in _FIELDS:
            raise ValueError(f"kind must be one of {', '.join(_FIELDS)}, got {kind!r}.")
        missing = [name for name in _FIELDS[kind] if name not in data]
        if missing:
            raise ValueError(
                f"data of kind {kind!r} must hold {', '.join(_FIELDS[kind])}; "
                f"{', '.join(missing)} is missing."
            )
        self.kind = kind
        self.data = {name: np.asarray(data[name]) for name in _FIELDS[kind]}
        self.title = title
        length = len(self.data[_FIELDS[kind][0]])
        expected: dict[str, tuple[int, ...]] = dict.fromkeys(_FIELDS[kind], (length,))
        if kind == "left_out":
            n_parameters = len(self.data["parameter_names"])
            expected["parameter_names"] = (n_parameters,)
            expected["shift"] = expected["error"] = (length, n_parameters)
        for name, shape in expected.items():
            if self.data[name].shape != shape:
                raise ValueError(
                    f"{name} must have shape {shape}, got {self.data[name].shape}; data of kind "
                    f"{kind!r} must be of equal length."
                )

    @classmethod
    def from_calibrator(
        cls,
        calibrator: LineCalibrator,
        kind: Literal["corrections", "left_out"] = "corrections",
        *,
        min_stars: int = 1,
    ) -> Self:
        """Take the corrections of a fitted calibrator, or its errors of stars left out.

        Parameters
        ----------
        calibrator : LineCalibrator
            Fitted calibrator.
        kind : {"corrections", "left_out"}
            What to draw. The errors of stars left out are those of ``left_out_shift_``, to first
            order, with errors scaled by ``scale_``. Parameters that no star depends on are left
            out.
        min_stars : int
            Lines whose strength is determined by fewer stars (``n_stars`` in the table of
            corrections) are not drawn: their correction is mostly that of their species.

        Returns
        -------
        CalibrationDisplay
            A display, not drawn.

        Raises
        ------
        NotFittedError
            If the calibrator is not fitted.
        ValueError
            If `kind` is another one, or no star could be left out.
        """
        check_is_fitted(calibrator)
        if kind == "corrections":
            table = calibrator.corrections_.table
            seen = table["n_stars"] >= min_stars
            data = {name: table[name][seen] for name in _FIELDS[kind]}
            title = f"{seen.sum()} of {len(seen)} lines, {len(calibrator.star_names_)} spectra"
            return cls(kind, data, title=title)
        if kind != "left_out":
            raise ValueError(
                f"kind must be 'corrections' or 'left_out', got {kind!r}; from_star draws a star."
            )
        shift = calibrator.left_out_shift_
        error = calibrator.left_out_error_ * np.sqrt(calibrator.scale_)
        if not np.isfinite(shift).any():
            raise ValueError(
                "no star was left out, because the calibrator was fitted to one star; fit it to "
                "two or more."
            )
        varied = (error > 0).any(axis=0)
        data = {
            "names": np.array(calibrator.star_names_),
            "parameter_names": np.array(calibrator.emulator_.grid_.parameter_names)[varied],
            "shift": shift[:, varied],
            "error": error[:, varied],
        }
        return cls(kind, data)

    @classmethod
    def from_star(
        cls,
        calibrator: LineCalibrator,
        star: StarsLike,
        parameters: ArrayLike,
        *,
        window: tuple[float, float] | None = None,
    ) -> Self:
        """Fit a star with the uncorrected and the corrected emulator, at given parameters.

        Velocity, broadening and continuum are fitted, with the settings of the calibrator.

        Parameters
        ----------
        calibrator : LineCalibrator
            Fitted calibrator.
        star : star
            One observed star, as :meth:`StellarParameterEstimator.infer` takes it, or a list
            or mapping of one. The comparison is a test if the calibrator was fitted without it.
        parameters : array-like of shape (n_parameters,)
            Its stellar parameters.
        window : tuple of two floats, or None
            First and last wavelength at rest to draw, Å; None is the whole spectrum.

        Returns
        -------
        CalibrationDisplay
            A display, not drawn.

        Raises
        ------
        NotFittedError
            If the calibrator is not fitted.
        ValueError
            If `star` is not one star, `parameters` lie outside the grid, or `window` holds no
            pixels.
        """
        check_is_fitted(calibrator)
        corrected = calibrator.emulator_
        stars, names, _ = list_stars(star)
        if len(stars) != 1:
            raise ValueError(
                f"star must be one star, got {len(stars)}; give one of them, or, if these are "
                f"segments of one star, a list within a list, [[blue, red]]."
            )
        grid = corrected.grid_
        point = np.asarray(parameters, dtype=np.float64).reshape(-1)
        if point.shape != (grid.n_parameters,) or not grid.contains(point[None])[0]:
            raise ValueError(
                f"parameters must be {', '.join(grid.parameter_names)} inside the grid, "
                f"{grid.bounds.tolist()}, got {point.tolist()}."
            )
        model = calibrator._model()
        segments = model.segments_of(stars[0], corrected.medium)
        uncorrected = corrected.emulator_
        one = ReferenceStar(uncorrected, segments, model, point, np.zeros_like(point))
        models = []
        for emulator in (uncorrected, corrected):
            one.fit(emulator)
            spectrum = one.likelihood.spectrum(one.point)
            flux, continuum, _ = one.likelihood.with_continuum(spectrum, np.array([0]))
            models.append(flux[0])
        centres = one.forward.centres
        shift, _ = shift_of_velocity(one.kinematics[0, 0])
        data = {
            "wavelength": np.concatenate(centres) * np.exp(-shift / SPEED_OF_LIGHT),
            "segment": np.repeat(np.arange(len(centres)), [len(part) for part in centres]),
            "flux": np.where(one.good, one.flux, np.nan)[0] / continuum[0],
            "uncorrected": models[0] / continuum[0],
            "corrected": models[1] / continuum[0],
        }
        mask = in_window(data["wavelength"], window)
        data = {name: values[mask] for name, values in data.items()}
        label = format_star(grid.parameter_names, point)
        return cls("star", data, title=label if names[0] is None else f"{names[0]}: {label}")

    def plot(self, ax: "Axes | Sequence[Axes] | None" = None) -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, sequence of two Axes, or None
            None makes a figure. Corrections are drawn on two axes, of strength and width, or on
            one, of strength alone. The place of one axes is divided into panels for the other
            kinds.

        Returns
        -------
        CalibrationDisplay
            Itself, with `axes_`, `ax_` and `figure_`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `ax` has another number of axes, or its place cannot be divided.
        """
        given = np.asarray(ax, dtype=object)
        is_pair = self.kind == "corrections" and given.shape == (2,)
        if given.ndim > 0 and not is_pair:
            raise ValueError(
                f"ax must be one axes, or two for kind 'corrections', got {given.size} for kind "
                f"{self.kind!r}."
            )
        axes = getattr(self, f"_plot_{self.kind}")(ax)
        if self.title:
            axes[0].set_title(self.title, fontsize="small", loc="left")
        self.axes_, self.ax_, self.figure_ = axes, axes[0], axes[0].figure
        return self

    def _plot_corrections(self, ax):
        """Draw the corrections of the lines against wavelength."""
        if ax is None:
            _, ax = import_pyplot().subplots(
                2, 1, sharex=True, figsize=(8.0, 5.6), layout="constrained"
            )
        axes = np.atleast_1d(np.asarray(ax, dtype=object))
        data = self.data
        size = 6.0 + 60.0 * (1.0 - np.exp(-data["depth"].astype(float)))
        groups = _colors(data["species"])
        for panel, quantity in zip(axes, _QUANTITIES, strict=False):
            panel.axhline(0.0, color="0.7", linewidth=0.8, zorder=0)
            for number, (label, color, members) in enumerate(groups):
                at, value = data["center"][members], data[quantity][members]
                panel.errorbar(
                    at, value, yerr=data[f"{quantity}_error"][members], fmt="none",
                    ecolor=color, elinewidth=0.7, alpha=0.7, zorder=1 + number,
                )  # fmt: skip
                panel.scatter(
                    at, value, s=size[members], color=color, label=label,
                    linewidths=0.3, edgecolors="white", zorder=2 + number,
                )  # fmt: skip
            panel.set_ylabel(_QUANTITIES[quantity])
            panel.ticklabel_format(axis="x", useOffset=False)
        axes[-1].set_xlabel(WAVELENGTH)
        if any(label for label, _, _ in groups):
            legend = axes[0].legend(
                loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=5, fontsize="x-small",
                frameon=False, handletextpad=0.1, columnspacing=0.8,
            )  # fmt: skip
            for handle in legend.legend_handles:
                handle.set_sizes([20.0])
        return axes

    def _plot_left_out(self, ax):
        """Draw a panel of each stellar parameter, with the stars on the y axis."""
        names, parameters = self.data["names"], self.data["parameter_names"]
        n_stars, n_parameters = len(names), len(parameters)
        axes = panels(
            ax, 1, n_parameters, figsize=(1.2 + 2.4 * n_parameters, 1.4 + 0.2 * n_stars)
        )[0]
        rows = np.arange(n_stars)
        for column, (panel, name) in enumerate(zip(axes, parameters, strict=True)):
            shift, error = self.data["shift"][:, column], self.data["error"][:, column]
            panel.axvline(0.0, color="0.7", linewidth=0.8, zorder=0)
            panel.errorbar(shift, rows, xerr=error, fmt="o", markersize=4, elinewidth=0.8)
            panel.set(xlabel=f"Δ {axis_label(name)}", ylim=(n_stars - 0.5, -0.5))
            panel.set_yticks(rows, names if column == 0 else [], fontsize="small")
            known = error > 0
            pull = np.sqrt(np.mean((shift[known] / error[known]) ** 2))
            suffix = f" {unit(name)}" if unit(name) else ""
            panel.set_title(
                f"mean {np.mean(shift[known]):+.2g}{suffix},\nrms / error {pull:.2g}",
                fontsize="small",
            )
        return axes

    def _plot_star(self, ax):
        """Draw flux and models, and the residuals before and after correction."""
        data = self.data
        axes = panels(ax, 3, 1, figsize=(8.0, 5.6), sharex=True, height_ratios=(3, 1, 1))[:, 0]
        top, *below = axes
        styles = {"uncorrected": ("C0", 0.9), "corrected": ("C1", 0.9)}
        for number, segment in enumerate(np.unique(data["segment"])):
            own = data["segment"] == segment
            # The legend names the lines of the first segment; a leading _ hides the others.
            hide = "_" if number else ""
            at = data["wavelength"][own]
            top.plot(at, data["flux"][own], color="black", linewidth=1.6, label=f"{hide}star")
            for panel, (name, (color, width)) in zip(below, styles.items(), strict=True):
                values = data[name][own]
                top.plot(at, values, color=color, linewidth=width, label=f"{hide}{name}")
                panel.plot(at, data["flux"][own] - values, color=color, linewidth=0.7)
        residuals = {name: data["flux"] - data[name] for name in styles}
        # Both panels have one scale, in which single bad pixels are cut off.
        most = 1.15 * max(np.nanpercentile(np.abs(r), 99.8) for r in residuals.values())
        for panel, (name, residual) in zip(below, residuals.items(), strict=True):
            panel.axhline(0.0, color="0.7", linewidth=0.8, zorder=0)
            panel.set(ylabel="residual", ylim=(-most, most))
            panel.text(
                0.995, 0.94, f"{name}: rms {np.sqrt(np.nanmean(residual**2)):.2g}",
                transform=panel.transAxes, ha="right", va="top", fontsize="small",
            )  # fmt: skip
        top.set_ylabel(FLUX)
        ends = np.nanmin(data["wavelength"]), np.nanmax(data["wavelength"])
        axes[-1].set(xlabel="wavelength at rest (Å)", xlim=ends)
        axes[-1].ticklabel_format(axis="x", useOffset=False)
        top.legend(
            loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize="small", frameon=False
        )
        top.figure.align_ylabels(axes)
        return axes


def _colors(species):
    """Return label, colour and members of the most frequent species, and of all others first."""
    names, counts = np.unique(species[species != ""], return_counts=True)
    frequent = names[np.argsort(-counts, kind="stable")[:_N_COLORS]]
    others = ~np.isin(species, frequent)
    label = "others" if len(frequent) else ""
    # Without names, all lines have the first colour.
    groups = [(label, _OTHER if len(frequent) else "C0", others)] if others.any() else []
    colors = [color for color in (f"C{k}" for k in range(10)) if color != "C7"]
    return groups + [
        (str(name), color, species == name) for name, color in zip(frequent, colors, strict=False)
    ]
