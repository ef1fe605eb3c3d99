"""Lines in the files of blase: out, in, and into archives and emulators."""

import pickle

import numpy as np
import pytest
import torch
from detected import detected_cloner

from skphx._domain import LINE_PARAMETERS, SPEED_OF_LIGHT
from skphx.lines import LineArchive, LineTable
from skphx.paper import PaperEmulator, read_state_dicts, save_state_dicts

POINTS = np.array([[5200.0, 4.2, -0.2], [5800.0, 4.4, -0.4]])
OF_BLASE = {
    "center": "lam_centers",
    "log_area": "amplitudes",
    "log_sigma": "sigma_widths",
    "log_gamma": "gamma_widths",
}


def make_table(counts, seed=0):
    """Lines of a common list of ten, each spectrum with some of them."""
    rng = np.random.default_rng(seed)
    n = sum(counts)
    return LineTable(
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(int),
        center=rng.uniform(5000.0, 5100.0, n),
        log_area=rng.normal(-3.0, 1.0, n),
        log_sigma=rng.normal(-3.0, 0.3, n),
        log_gamma=rng.normal(-3.0, 0.3, n),
        identity=np.concatenate([np.sort(rng.permutation(10)[:k]) for k in counts]).astype(int),
    )


def make_state(n=3, seed=0):
    """A state dictionary in memory."""
    one = make_table([n], seed)
    return {blase: getattr(one, name) for name, blase in OF_BLASE.items()}


def test_files_of_one_table_come_back(tmp_path):
    table = make_table([4, 0, 2])
    centers = np.linspace(5000.0, 5100.0, 10)
    files = save_state_dicts(table, tmp_path / "pt", centers)
    assert [file.name for file in files] == [f"node_{row:05d}.pt" for row in range(3)]
    assert sorted((tmp_path / "pt").iterdir()) == files
    for again in (read_state_dicts(files), read_state_dicts(tmp_path / "pt")):
        for name in ("offsets", *LINE_PARAMETERS):
            np.testing.assert_array_equal(getattr(again, name), getattr(table, name))
        # Numbers of the lines may change, not which lines are the same, nor their order.
        known = np.unique(table.identity)
        _, number = np.unique(again.identity, return_inverse=True)
        np.testing.assert_array_equal(known[number], table.identity)
    assert read_state_dicts(str(files[0])).n_spectra == 1
    assert read_state_dicts([files[2], str(files[0])]).n_lines == 6


def test_files_hold_what_blase_reads(tmp_path):
    table = make_table([4, 2])
    centers = np.linspace(5000.0, 5100.0, 10)
    _, path = save_state_dicts(table, tmp_path, centers)
    state = torch.load(path, weights_only=True)
    for name, blase in OF_BLASE.items():
        assert state[blase].dtype == torch.float64
        np.testing.assert_array_equal(state[blase].numpy(), getattr(table[1], name))
    np.testing.assert_array_equal(state["pre_line_centers"].numpy(), centers[table[1].identity])
    # Factors of a continuum of 1, at rest.
    trivial = {"a_coeff": 1.0, "b_coeff": 0.0, "c_coeff": 0.0, "radial_velocity": 0.0}
    for name, value in trivial.items():
        assert state[name].item() == value


def test_without_a_common_list_lines_are_counted_in_each_file(tmp_path):
    table = make_table([4, 2])
    save_state_dicts(table, tmp_path)
    assert "pre_line_centers" not in torch.load(tmp_path / "node_00000.pt", weights_only=True)
    np.testing.assert_array_equal(read_state_dicts(tmp_path).identity, [0, 1, 2, 3, 0, 1])


def test_files_may_have_other_numbers(tmp_path):
    table = make_table([4, 2])
    files = save_state_dicts(table, tmp_path, numbers=[5, 0])
    assert [file.name for file in files] == ["node_00005.pt", "node_00000.pt"]
    np.testing.assert_array_equal(read_state_dicts(files[0]).center, table[0].center)
    # Of a folder files are taken by name.
    np.testing.assert_array_equal(np.diff(read_state_dicts(tmp_path).offsets), [2, 4])


def test_dictionaries_are_read_from_memory_and_files(tmp_path):
    state = make_state()
    expected = read_state_dicts(state)
    assert expected.n_spectra == 1
    np.testing.assert_array_equal(expected.center, state["lam_centers"])
    # As a model saves them: tensors of single precision, some of which ask for gradients.
    tensors = {
        name: torch.nn.Parameter(torch.tensor(value, dtype=torch.float32))
        for name, value in state.items()
    }
    torch.save(tensors, tmp_path / "clone.pt")
    for source in (tensors, tmp_path / "clone.pt"):
        np.testing.assert_allclose(read_state_dicts(source).center, expected.center, rtol=1e-7)
    mixed = read_state_dicts([state, tmp_path / "clone.pt", state])
    assert mixed.n_spectra == 3
    assert mixed[0] == mixed[2] == expected


def test_velocity_and_detected_centers():
    state = make_state()
    at_rest = read_state_dicts(state)
    state["radial_velocity"] = torch.tensor(30.0)
    moving = read_state_dicts(state)
    np.testing.assert_allclose(moving.center / at_rest.center - 1.0, 30.0 / 299_792.458)
    assert SPEED_OF_LIGHT == 299_792.458
    state["pre_line_centers"] = torch.tensor([5000.0, 5000.0 + 1e-6, 5000.01])
    identity = read_state_dicts(state).identity
    # 1e-6 Å is below float32 at 5000 Å: the same detected centre.
    assert identity[0] == identity[1] < identity[2]


def test_a_dictionary_that_lacks_an_entry():
    with pytest.raises(ValueError, match=r"lacks \['gamma_widths'\]"):
        read_state_dicts({"lam_centers": 0, "amplitudes": 0, "sigma_widths": 0})


def test_a_folder_without_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no .pt file"):
        read_state_dicts(tmp_path)


class _Code:
    def __reduce__(self):
        return print, ("this ran",)


def test_files_that_hold_code_are_refused(tmp_path, capsys):
    torch.save({"model": torch.nn.Linear(1, 1)}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="would run code from the file; save its state dict"):
        read_state_dicts(tmp_path / "model.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="holds a list, not a state dictionary"):
        read_state_dicts(tmp_path / "list.pt")
    torch.save({"lam_centers": _Code()}, tmp_path / "evil.pt")
    (tmp_path / "evil2.pt").write_bytes(pickle.dumps(_Code(), protocol=2))
    for source in (tmp_path / "evil.pt", tmp_path / "evil2.pt", tmp_path):
        with pytest.raises(ValueError, match=r"evil2?\.pt holds more than tensors"):
            read_state_dicts(source)
    shown = capsys.readouterr()
    assert "this ran" not in shown.out + shown.err


@pytest.mark.shared_data
def test_real_state_dict_of_a_gpu(shared_data, tmp_path):
    table = read_state_dicts(shared_data / "blase_T4700g4p5.pt")
    assert (table.n_spectra, table.n_lines) == (1, 9028)
    assert table.center.min() > 8038.0
    assert LineArchive.from_table(tmp_path / "blase", table).table() == table
    again = read_state_dicts(save_state_dicts(table, tmp_path / "pt"))
    for name in ("offsets", *LINE_PARAMETERS):
        np.testing.assert_array_equal(getattr(again, name), getattr(table, name))


# Into archives and emulators -------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(grid):
    cloner = detected_cloner(grid.wavelength, target_rms=None, n_epochs=5)
    return PaperEmulator(cloner, "hermite", missing="fade").fit(grid.parameters, grid.normalised)


def test_archives_go_out_and_come_back(grid, tmp_path):
    cloner = detected_cloner(
        grid.wavelength, target_rms=None, n_epochs=5, archive=tmp_path / "grid"
    ).fit(grid.normalised)
    before = LineArchive(tmp_path / "grid").table()
    save_state_dicts(before, tmp_path / "pt", cloner.line_centers_)
    imported = LineArchive.from_table(tmp_path / "imported", read_state_dicts(tmp_path / "pt"))
    after = imported.table()
    for name in ("offsets", *LINE_PARAMETERS):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    _, same_before = np.unique(before.identity, return_inverse=True)
    _, same_after = np.unique(after.identity, return_inverse=True)
    np.testing.assert_array_equal(same_after, same_before)


@pytest.mark.parametrize("detected", [False, True])
def test_state_dictionaries_become_an_emulator(grid, fitted, tmp_path, detected):
    """As published clones come: one file a node, lines known by their detected centres."""
    table = LineTable.from_dense(fitted.lines_)
    assert not fitted.present_.all()
    centers = fitted.cloner_.line_centers_ if detected else None
    loaded = read_state_dicts(save_state_dicts(table, tmp_path, centers))
    if not detected:
        # Without them lines are counted in each file, which suits files that all have all.
        loaded = LineTable(
            table.offsets,
            *(getattr(loaded, name) for name in LINE_PARAMETERS),
            identity=table.identity,
        )
    taken = PaperEmulator(detected_cloner(grid.wavelength), "hermite", missing="fade")
    taken.fit_table(grid.parameters, loaded)
    assert taken.manifold_.n_lines == fitted.manifold_.n_lines
    np.testing.assert_allclose(taken.predict(POINTS), fitted.predict(POINTS), atol=1e-6)
    assert taken.cloner_.inverse_transform(taken.predict_lines(POINTS)).shape == (2, 400)
