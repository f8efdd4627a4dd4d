import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lgrin import LGrIN
from lgrin.nn import LearnableAdjacency
from lgrin.visualization import (
    animate_adjacency,
    plot_adjacency,
    plot_change,
    plot_edge_distance,
    plot_heads,
    plot_network,
    plot_timeline,
    save_animation,
    save_figure,
)

PICTURES = [plot_adjacency, plot_edge_distance, plot_timeline, plot_network]
NAMES = ["left", "right", "front", "back"]
CHAIN = torch.diag(torch.tensor([1.0, 0.5, 0.25]), 1)  # frame i hears frame i + 1


def color(ax, x, y):
    """What a rendered picture shows at a place given in data coordinates, red, green and blue from 0 to 1."""
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    column, row = ax.transData.transform((x, y))
    picture = np.asarray(canvas.buffer_rgba())
    return picture[picture.shape[0] - 1 - int(row), int(column), :3] / 255


def test_the_adjacency_is_drawn_as_it_is():
    adjacency = LearnableAdjacency(4)
    ax = Figure().add_subplot()
    assert plot_adjacency(adjacency, ax=ax) is ax
    assert np.array_equal(ax.images[0].get_array(), adjacency().detach().numpy())
    assert ax.images[0].norm.vmin == 0


def test_heavier_edges_are_darker_at_their_place_in_the_picture():
    ax = plot_adjacency(CHAIN)
    shades = [color(ax, source, target).mean() for target, source in ((0, 1), (1, 2), (2, 3), (3, 0))]
    assert shades == sorted(shades)
    assert shades[0] < 0.1
    assert shades[-1] > 0.95


def test_an_animation_has_one_scale_and_a_picture_an_epoch(tmp_path):
    animation = animate_adjacency([0 * CHAIN, CHAIN, 4 * CHAIN])
    image = animation._fig.axes[0].images[0]
    assert image.get_clim() == (0, 4)
    animation._func(2)
    assert np.array_equal(image.get_array(), 4 * CHAIN)
    save_animation(animation, tmp_path / "learning.gif")
    assert (tmp_path / "learning.gif").read_bytes().startswith(b"GIF")
    assert list(tmp_path.iterdir()) == [tmp_path / "learning.gif"]
    with pytest.raises(ValueError, match=r"let it end in \.gif"):
        save_animation(animation, tmp_path / "learning.mp4")


def test_an_animation_of_nothing_names_the_way_out():
    with pytest.raises(ValueError, match="AdjacencyHistory"):
        animate_adjacency([])


def test_weights_are_averaged_by_distance():
    matrix = torch.tensor([[1.0, 2.0, 7.0], [4.0, 3.0, 0.0], [5.0, 2.0, 2.0]])
    ax = plot_edge_distance(matrix)
    assert ax.lines[0].get_ydata().tolist() == [2.0, 2.0, 6.0]


def test_the_timeline_shows_the_heaviest_edges_by_direction():
    matrix = CHAIN + 0.1 * CHAIN.T
    ax = plot_timeline(matrix, num_edges=4)
    forwards, back = ax.collections[:2]
    assert [len(lines.get_segments()) for lines in (forwards, back)] == [1, 3]
    first, *_, last = back.get_segments()[-1]
    assert np.allclose([first, last], [[1, 0], [0, 0]], atol=1e-6)  # frame 1 speaks to frame 0, the heaviest edge
    assert all(segment[:, 1].max() < 1e-6 for segment in back.get_segments())
    assert all(segment[:, 1].min() > -1e-6 for segment in forwards.get_segments())
    assert back.get_linewidths()[-1] > back.get_linewidths()[0]


def test_a_timeline_without_edges_is_a_row_of_frames():
    ax = plot_timeline(torch.zeros(3, 3))
    assert [len(lines.get_segments()) for lines in ax.collections[:2]] == [0, 0]
    assert len(ax.collections[2].get_offsets()) == 3


@pytest.mark.parametrize("draw", PICTURES)
@pytest.mark.parametrize("shape", [(2, 3), (3,), (0, 0), (1, 3, 3)])
def test_what_is_no_square_matrix_is_refused(draw, shape):
    with pytest.raises(ValueError, match=r"has to be a square matrix \[M, M\]"):
        draw(torch.zeros(shape))


@pytest.mark.parametrize("draw", PICTURES)
@pytest.mark.parametrize(
    ("adjacency", "given"),
    [
        (None, "a NoneType"),
        ("graph", "a str"),
        (LGrIN(3, 5, 2), "a LGrIN"),
        (torch.nn.Linear(2, 2), "a Linear"),
        (1j * CHAIN, "torch.complex64"),
        ([[1, 2], [3]], "a list"),
    ],
    ids=["none", "text", "model", "module", "complex", "ragged"],
)
def test_what_is_no_matrix_of_numbers_is_named(draw, adjacency, given):
    with pytest.raises(
        TypeError, match=f"adjacency is {given}; it may be a matrix .* such as model.adjacency, of real"
    ):
        draw(adjacency)


@pytest.mark.parametrize("draw", PICTURES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(draw, value):
    matrix = CHAIN.clone()
    matrix[1, 2] = value
    with pytest.raises(ValueError, match=rf"adjacency\[1, 2\] is {value}; every number has to be finite"):
        draw(matrix)


@pytest.mark.parametrize("kind", [torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.to_sparse, torch.Tensor.double])
def test_a_matrix_may_be_of_any_kind(kind):
    assert np.array_equal(plot_adjacency(kind(CHAIN)).images[0].get_array(), CHAIN)


def test_entries_below_zero_are_edges_of_their_size_in_every_picture():
    signed = CHAIN - torch.eye(4)
    assert np.array_equal(plot_adjacency(signed).images[0].get_array(), signed)
    assert plot_edge_distance(signed).lines[0].get_ydata()[0] == 1
    assert plot_timeline(signed).collections[2].get_sizes().tolist() == [44, 44, 44, 44]


def test_axes_that_cannot_be_drawn_into_are_named():
    figure = Figure()
    removed = figure.add_subplot()
    removed.remove()
    with pytest.raises(ValueError, match="ax was removed from its figure"):
        plot_adjacency(CHAIN, removed)
    for other in (figure, figure.subplots(1, 2), "ax"):
        with pytest.raises(TypeError, match=rf"ax is a {type(other).__name__}; it may be Matplotlib axes"):
            plot_adjacency(CHAIN, other)


@pytest.mark.parametrize(
    ("history", "kind", "message"),
    [
        (None, TypeError, "history is a NoneType; it may be a list of matrices"),
        (CHAIN, ValueError, r"history\[0\] is \[4\]; it has to be a square matrix"),
        ([CHAIN, torch.eye(3)], ValueError, r"history has matrices of \[3, 4\] frames; give those of one run"),
        ([CHAIN, CHAIN / 0], ValueError, r"history\[1\]\[0, 0\] is nan"),
    ],
    ids=["none", "one matrix", "two sizes", "not finite"],
)
def test_a_history_that_is_none_is_named(history, kind, message):
    with pytest.raises(kind, match=message):
        animate_adjacency(history)


def test_a_picture_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path):
    for name in ("a", "a.xyz", "."):
        with pytest.raises(ValueError, match=r"path is '.*'; it may end in .*\.png"):
            save_figure(plot_adjacency(CHAIN), tmp_path / name)
    with pytest.raises(ValueError, match="dpi is 0; it has to be a whole number"):
        save_figure(plot_adjacency(CHAIN), tmp_path / "a.png", dpi=0)
    with pytest.raises(TypeError, match="ax is a NoneType in no figure; pass what a plot function has returned"):
        save_figure(None, tmp_path / "a.png")
    with pytest.raises(TypeError, match="animation is a NoneType; pass what animate_adjacency has returned"):
        save_animation(None, tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())


def test_pictures_are_written_whole(tmp_path):
    save_figure(plot_adjacency(torch.eye(3)), tmp_path / "deep" / "a.png")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.png"]


def test_weights_of_either_sign_have_two_colours_around_zero():
    ax = plot_adjacency(torch.tensor([[0.5, -2.0], [0.0, 1.0]]))
    image = ax.images[0]
    assert image.get_clim() == (-2, 2)
    assert image.get_cmap().name == "RdBu"
    assert plot_adjacency(torch.eye(2)).images[0].get_cmap().name == "Greys"
    assert plot_edge_distance(torch.tensor([[0.0, -2.0], [0.0, 0.0]])).lines[0].get_ydata().tolist() == [0, 1]
    assert len(plot_timeline(torch.tensor([[0.0, -2.0], [0.0, 0.0]])).collections[1].get_segments()) == 1
    with pytest.raises(ValueError, match=r"of several heads draw one, such as adjacency\(\)\[0\]"):
        plot_adjacency(LearnableAdjacency(3, heads=2))


@pytest.mark.parametrize(
    "draw", [plot_adjacency, plot_timeline, plot_network, lambda x, **named: plot_change(x, x, **named)]
)
def test_nodes_have_their_names_in_order(draw):
    ax = draw(CHAIN, names=np.array(NAMES))
    ax.figure.canvas.draw()
    assert NAMES in ([text.get_text() for text in ax.texts], [text.get_text() for text in ax.get_xticklabels()])
    with pytest.raises(ValueError, match="names has 3 entries, but the graph has 4 nodes; give one name a node"):
        draw(CHAIN, names=NAMES[:3])
    with pytest.raises(TypeError, match="names is a str; it may be a list of 4 names, or None"):
        draw(CHAIN, names="abcd")


def test_names_are_drawn_as_they_stand():
    for draw in (plot_adjacency, plot_network, plot_timeline):
        draw(CHAIN, names=["$\\frac$", "a\nb", "c", "d"]).figure.canvas.draw()  # a formula would fail


def test_axes_say_source_and_target():
    for ax in (plot_adjacency(CHAIN), plot_change(CHAIN, CHAIN), *plot_heads(CHAIN)):
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("source frame j", "target frame i")
    assert plot_adjacency(CHAIN, names=NAMES).get_ylabel() == "target node"
    assert animate_adjacency([CHAIN], names=NAMES)._fig.axes[0].get_xlabel() == "source node"


def test_heads_lie_side_by_side_on_one_scale():
    adjacency = LearnableAdjacency(4, heads=3)
    drawn = plot_heads(adjacency, names=NAMES)
    assert [np.array_equal(ax.images[0].get_array(), one) for ax, one in zip(drawn, adjacency().detach(), strict=True)]
    assert {ax.images[0].get_clim() for ax in drawn} == {(0, adjacency().max().item())}
    assert len(plot_heads(CHAIN)) == 1


def test_the_change_is_what_training_added():
    ax = plot_change(CHAIN, CHAIN.T, names=NAMES)
    assert np.array_equal(ax.images[0].get_array(), CHAIN.T - CHAIN)
    assert ax.images[0].get_clim() == (-1, 1)
    assert plot_change(0 * CHAIN, CHAIN).images[0].get_cmap().name == "RdBu", "0 is white also where nothing fell"
    with pytest.raises(ValueError, match="before has 3 nodes, but after has 4; give matrices of one run"):
        plot_change(torch.eye(3), CHAIN)


def test_a_logarithmic_scale_tells_small_weights_apart():
    matrix = torch.diag(torch.tensor([1.0, 0.01, 0.001]), 1)
    shades = [
        [color(ax, j, j - 1).mean() for j in (1, 2, 3)]
        for ax in (plot_adjacency(matrix), plot_adjacency(matrix, scale="log"))
    ]
    assert shades[0][2] - shades[0][1] < 0.02
    assert shades[1][2] - shades[1][1] > 0.1
    ax = plot_adjacency(matrix, scale="log")
    assert color(ax, 0, 0).mean() == 1, "0 is white"
    image = plot_adjacency(matrix - matrix.T, scale="log").images[0]
    red, white, blue = image.cmap(image.norm([-0.01, 0.0, 0.01]))[:, :3]
    assert red[0] - red[2] > 0.2
    assert blue[2] - blue[0] > 0.2
    assert white.min() > 0.95
    with pytest.raises(ValueError, match="scale is 'cubic'; it may be 'linear', 'log'"):
        plot_adjacency(matrix, scale="cubic")


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_negative_weights_have_a_minus_sign(scale):
    marks = [
        tuple(place)
        for part in plot_adjacency(CHAIN - 2 * CHAIN.T, scale=scale).collections
        for place in part.get_offsets()
    ]
    assert sorted(marks) == [(0, 1), (1, 2), (2, 3)]  # column and row
    assert not plot_adjacency(CHAIN, scale=scale).collections


def test_negative_arcs_are_dashed_and_dots_hollow():
    forwards, back, dots = plot_timeline(torch.tensor([[-1.0, -2.0], [3.0, 0.0]])).collections[:3]
    assert forwards.get_linestyles()[0][1] is None
    assert back.get_linestyles()[0][1] is not None
    assert dots.get_facecolors().tolist() == [[1, 1, 1, 1], [0, 0, 0, 1]]


def arrows(ax):
    """Where each arrow of a network begins and ends, and how it is drawn."""
    ends = [tuple(tuple(np.round(place, 6)) for place in one._posA_posB) for one in ax.patches]
    return dict(zip(ends, ax.patches, strict=True))


def test_an_arrow_goes_from_source_to_target():
    places = {"left": (0, 0), "right": (1, 0), "front": (0, 1), "back": (1, 1)}
    drawn = arrows(plot_network(CHAIN - 0.1 * CHAIN.T, names=NAMES, positions=places, num_edges=4))
    assert set(drawn) == {((1, 0), (0, 0)), ((0, 1), (1, 0)), ((1, 1), (0, 1)), ((0, 0), (1, 0))}
    heaviest, negative = drawn[(1, 0), (0, 0)], drawn[(0, 0), (1, 0)]
    assert heaviest.get_linewidth() > negative.get_linewidth()
    assert (heaviest.get_linestyle(), negative.get_linestyle()) == ("solid", "dashed")
    assert heaviest.get_edgecolor() != negative.get_edgecolor()


def test_a_symmetric_graph_has_one_line_for_two_directions():
    ax = plot_network(CHAIN + CHAIN.T, positions=np.arange(8).reshape(4, 2))
    assert len(ax.patches) == 3
    assert all(type(one.get_arrowstyle()).__name__ == "Curve" for one in ax.patches)


def test_a_spring_layout_joins_what_is_connected_and_repeats():
    pairs = torch.block_diag(*[torch.ones(2, 2)] * 4)
    places, again = (plot_network(pairs, seed=1).collections[0].get_offsets() for _ in range(2))
    assert np.array_equal(places, again)
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    assert (np.where(np.eye(8), np.inf, apart).argmin(1) == [1, 0, 3, 2, 5, 4, 7, 6]).all()


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ({"left": (0, 0)}, "positions has no place for 'right', 'front', 'back'; give one for each node"),
        (np.zeros((3, 2)), r"positions is \[3, 2\]; for 4 nodes it has to be \[4, 2\]"),
        (np.full((4, 2), np.nan), r"positions\[0, 0\] is nan"),
    ],
)
def test_positions_that_do_not_fit_are_named(positions, message):
    with pytest.raises(ValueError, match=message):
        plot_network(CHAIN, names=NAMES, positions=positions)


@pytest.mark.parametrize("num_nodes", [12, 26, 200])
@pytest.mark.parametrize("draw", [plot_adjacency, lambda matrix: plot_change(matrix / 2, matrix), plot_edge_distance])
def test_no_label_is_cut_off(draw, num_nodes):
    ax = draw(LearnableAdjacency(num_nodes, init="temporal", normalize="row")().detach())
    FigureCanvasAgg(ax.figure).draw()  # once, as when it is saved
    whole = ax.figure.bbox
    for axis in [axis for one in ax.figure.axes for axis in (one.xaxis, one.yaxis)]:
        box = axis.get_tightbbox()
        assert box is None or (whole.x0 <= box.x0 and whole.y0 <= box.y0 and box.x1 <= whole.x1 and box.y1 <= whole.y1)


def hidden_parts(ax):
    """Of each arrowhead the part of its pixels that names cover or change."""

    def pixels(shown):
        for text in ax.texts:
            text.set_visible(shown)
        canvas = FigureCanvasAgg(ax.figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)

    without, named = pixels(shown=False), pixels(shown=True)
    row, column = np.indices(without.shape[:2])
    middles = np.stack([column.ravel() + 0.5, len(row) - row.ravel() - 0.5], axis=-1)  # pixels count from the top
    changed = (without != named).any(-1).ravel()
    heads = [arrow._get_path_in_displaycoord()[0][-1] for arrow in ax.patches]
    inside = [head.contains_points(middles) for head in heads]
    assert all(one.any() for one in inside)
    return [changed[one].mean() for one in inside]


def test_no_name_hides_an_arrowhead_of_a_house_with_twelve_sensors():
    names = ["boiler", "pump", "valve", "tank", "radiator_1", "radiator_2", "hall", "kitchen"]
    names += ["bath", "cellar", "roof", "street"]
    sources, targets = [9, 0, 1, 2, 2, 2, 4, 5, 5, 10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 11]
    matrix = torch.eye(12)
    matrix[targets, sources] = 1
    assert max(hidden_parts(plot_network(matrix, names=names))) == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_hardly_a_name_lies_over_an_arrowhead_among_thirty_nodes_and_none_has_a_halo_there(seed):
    matrix = torch.zeros(30, 30)
    generator = torch.Generator().manual_seed(seed)
    matrix.view(-1)[torch.randperm(900, generator=generator)[:60]] = torch.rand(60, generator=generator)
    hidden = hidden_parts(plot_network(matrix, names=[f"sensor_{node}" for node in range(30)], num_edges=60))
    assert np.mean(np.array(hidden) > 0) < 0.1
    assert max(hidden) < 0.7, "letters alone leave most of a head in sight"
