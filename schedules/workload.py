"""What a template is asked for: one frozen description per kind of stage.

A workload holds everything that shapes the generated code and nothing that is data. Addresses are
data: a kernel reads `x[channel_offset + pixel_offset]` through int32 tables, so one kernel serves
every stage of the same workload wherever its tensors lie. All offsets count elements from the
pointer they are added to. `lanes` is the channel block of the layout (a vector: 16, 8 or 4; 1 is
planar); `blocks` counts output channel blocks, the last one zero-padded; `pixels` counts output
positions over batch, rows and columns.
"""

from __future__ import annotations

from typing import Literal

import attrs

UnaryKind = Literal[
    "relu",
    "clip",
    "leaky_relu",
    "sigmoid",
    "tanh",
    "hard_sigmoid",
    "hard_swish",
    "silu",
    "gelu",
    "gelu_tanh",
    "exp",
    "sqrt",
    "abs",
    "negative",
    "erf",
    "add_scalar",
    "multiply_scalar",
    "power_scalar",
]
"""Element-wise functions of one value; their numbers (bounds, slopes) are in `EpilogueOp.constants`."""

VectorKind = Literal["add_vector", "multiply_vector", "prelu"]
"""One constant per output channel: bias, scale, PReLU slope."""

TensorKind = Literal["add", "subtract", "multiply", "divide", "maximum", "minimum"]
"""A second tensor, element by element; the accumulator is the left operand."""

Access = Literal["block", "lane", "channel"]
"""How a tensor operand is read.

block:   `r[rb[block] + rp[pixel] + lane]`, one vector load; channels of a block lie together.
lane:    `r[rl[block * lanes + lane] + rp[pixel]]`, any channel from anywhere (per-lane loads).
channel: one value per channel, the same for every pixel of a batch element: read as `block` is, `rp[pixel]`
         being the offset of the pixel's batch element (0 where there is one).
"""


@attrs.frozen
class EpilogueOp:
    """One step applied to the accumulator before it is stored, in order.

    kind:      what is computed.
    constants: scalars of a unary kind: clip (lo, hi), leaky_relu (slope,), hard_sigmoid (alpha, beta),
               add_scalar / multiply_scalar / power_scalar (value,).
    access:    for a tensor kind, how the operand is read; None otherwise.
    swapped:   for a non-commutative tensor kind, the accumulator is the right operand.
    """

    kind: str
    constants: tuple[float, ...] = ()
    access: Access | None = None
    swapped: bool = False


Epilogue = tuple[EpilogueOp, ...]


@attrs.frozen
class IndexedConv:
    """`y[yo[o] + yp[p] + v] = epilogue(sum_c x[ct[t(o), c] + pt[p]] * k[o, c, v])`.

    1x1, shift + 1x1, k x k, strided, dilated, grouped, planar stem, several sources and GEMM differ
    only in the tables (cf. Dukhan, "The Indirect Convolution Algorithm", 2019).

    virtual_channels: length of the reduction: input channels x taps.
    blocks, lanes, pixels: the output, see the module's docstring.
    tables: how many channel-offset tables there are: 1 for a dense convolution; for a grouped one,
            output block `o` uses table `o * tables // blocks` (`blocks % tables == 0`).
    """

    virtual_channels: int
    blocks: int
    lanes: int
    pixels: int
    tables: int = 1
    epilogue: Epilogue = ()
    dtype: str = "float32"


@attrs.frozen
class PairedConv:
    """An `IndexedConv` of one table whose products are paired, see `schedules/paired_products.py`.

    lines:      pairs of vectors of x that hold all paired channels: per pixel p the paired channels' own
                products are `x[line[i, 0] + pt[p] + v] * x[line[i, 1] + pt[p] + v] * sign[i, v]`,
                i < `lines`, v < `line_lanes`.
    line_lanes: of these vectors, which may be narrower than the output's.
    run, step:  `pt[p] = pt[p - 1] + step` unless p is a multiple of `run`, which divides `pixels`: usually
                a row of them. Part of the workload because distances that the code knows take no registers.
    rows, row_step: `pt[p] = pt[p - run] + row_step` unless p is less than `run` beyond a multiple of
                `rows * run`, which divides `pixels`: where runs are short, and a column has several.
    """

    virtual_channels: int
    lines: int
    blocks: int
    lanes: int
    pixels: int
    epilogue: Epilogue = ()
    dtype: str = "float32"
    line_lanes: int = attrs.field(default=attrs.Factory(lambda self: self.lanes, takes_self=True))
    run: int = 1
    step: int = 0
    rows: int = 1
    row_step: int = 0

    def has_known_distances(self, tile: int) -> bool:
        """Whether all pixels of columns of `tile`, counted from either end, lie `distance` from the first."""

        def within(pixels: int) -> bool:
            return pixels == self.pixels or pixels % tile == 0

        return within(self.run) or (tile % self.run == 0 and within(self.rows * self.run))

    def distance(self, pixel: int) -> int:
        """From the first pixel of such a column, in elements of x."""
        return pixel % self.run * self.step + pixel // self.run * self.row_step


@attrs.frozen
class Depthwise:
    """`y[yo[o] + yp[n, h, w] + v] = epilogue(sum_t x[xo[o] + xn[n] + p(h, w) + taps[t] + v] * k[o, t, v])`,

    `p(h, w) = h * row_step + w * column_step`.

    row_step, column_step: from an output pixel to the one below (beside) it, elements of x.
    taps: offset of every tap from the pixel's address, in elements. Steps and taps are part of the workload
          because pixels that lie near each other read the same vectors: which ones is known to the code.
    """

    blocks: int
    lanes: int
    batch: int
    rows: int
    columns: int
    row_step: int
    column_step: int
    taps: tuple[int, ...]
    epilogue: Epilogue = ()
    dtype: str = "float32"

    @property
    def pixels(self) -> int:
        """Output positions over batch, rows and columns."""
        return self.batch * self.rows * self.columns


@attrs.frozen
class WindowPool:
    """`y[yo[o] + yp[n, h, w] + v] = max_{i,j} x[xo[o] + xn[n] + row[h, i] + col[w, j] + v]`.

    `row` and `col` hold one offset per output row (column) and tap, all of them inside the plane: for a
    tap outside, that of another one, which does not change a maximum. With one tap, elements are chosen.
    """

    blocks: int
    lanes: int
    batch: int
    rows: int
    columns: int
    row_taps: int
    column_taps: int
    epilogue: Epilogue = ()
    dtype: str = "float32"


@attrs.frozen
class WindowSum:
    """`y[yo[o] + yp[n, h, w] + v] = epilogue(sum_j col_weight[w, j] * s[h, col[w, j], v])`,

    `s[h, c, v] = sum_i row_weight[h, i] * x[xo[o] + xn[n] + row[h, i] + c * column_step + v]`.

    `row` holds one offset per output row and tap, `col` one column c < `read_columns` per output column and
    tap; what an average is divided by is in the weights.

    column_step: from a column of x to the next, in elements.
    """

    blocks: int
    lanes: int
    batch: int
    rows: int
    columns: int
    row_taps: int
    column_taps: int
    read_columns: int
    column_step: int
    epilogue: Epilogue = ()
    dtype: str = "float32"


@attrs.frozen
class GlobalPool:
    """`y[yo[o] + yp[n] + v] = scale * reduce_p x[xo[o] + xn[n] + xp[p] + v]` over a plane of `pixels`.

    `kind` avg multiplies the sum by 1 / pixels.
    """

    kind: Literal["max", "avg"]
    blocks: int
    lanes: int
    batch: int
    pixels: int
    epilogue: Epilogue = ()
    dtype: str = "float32"


@attrs.frozen
class Elementwise:
    """`y[yo[b] + yp[p] + v] = epilogue(x[operand address])`; with no epilogue, a copy.

    access: how `x` is read (`block` or `lane`; `lane` with `lanes` = 1 is a planar copy or, with one
            block, a gather through a table of element offsets).
    square: blocks and pixels come in groups of so many, the last of each cut short: in a group of blocks `xb`
            rises by one from block to block, in a group of pixels `yp` does. Only with one lane.
    """

    blocks: int
    lanes: int
    pixels: int
    access: Access = "block"
    epilogue: Epilogue = ()
    dtype: str = "float32"
    square: int = 1


@attrs.frozen
class LayerNorm:
    """`y[yo[o] + yp[p] + v] = epilogue((x[xo[o] + xp[p] + v] - mean_p) / sqrt(variance_p + epsilon))`.

    Mean and variance of pixel p are over the `channels` lanes that `used[o * lanes + v]` marks with 1; the
    others may hold anything.
    """

    channels: int
    blocks: int
    lanes: int
    pixels: int
    epsilon: float
    epilogue: Epilogue = ()
    dtype: str = "float32"


@attrs.frozen
class GroupNorm:
    """`y[yo[o] + yp[n, p] + v] = epilogue((x[xo[o] + xn[n] + xp[p] + v] - mean) / sqrt(variance + epsilon))`.

    Mean and variance of (n, group) are over the plane of `pixels` and the channels of the group: the lanes
    `member[g, j] = o * lanes + v`, j < `channels`. Lanes of no group may hold anything.

    clusters: the blocks, cut into so many equal runs, hold equally many whole groups each, in order.
    """

    groups: int
    channels: int
    clusters: int
    blocks: int
    lanes: int
    batch: int
    pixels: int
    epsilon: float
    epilogue: Epilogue = ()
    dtype: str = "float32"


@attrs.frozen
class Softmax:
    """`y[yo[o] + yp[p] + v] = epilogue(e / sum_p e)`, `e = exp(x[xo[o] + xp[p] + v] - max_p)`.

    Maximum and sum of pixel p are over the `channels` lanes that `used[o * lanes + v]` marks with 1.
    """

    channels: int
    blocks: int
    lanes: int
    pixels: int
    epilogue: Epilogue = ()
    dtype: str = "float32"


@attrs.frozen
class WinogradInput:
    """Transform patches: `y[i, b, t, v] = (Bᵀ d B)_i` with d the patch of tile t in block b,

    `d[r, s] = x[xo[b] + xp[t] + r * row_stride + s * column_stride + v]`.

    outputs: m of F(m x m, 3 x 3); a patch has (m + 2)² elements. `y` is `[(m + 2)²][blocks][tiles][lanes]`.
    row_stride, column_stride: elements from a row (column) of the patch to the next.
    """

    outputs: int
    blocks: int
    lanes: int
    tiles: int
    row_stride: int
    column_stride: int
    epilogue: Epilogue = ()
    dtype: str = "float32"


@attrs.frozen
class WinogradOutput:
    """Transform products back: `y[yo[o] + yp[t * m² + j] + v] = epilogue((Aᵀ x A)_j)` for tile t.

    `x` is `[(m + 2)²][blocks][tiles][lanes]`. The pixels of a tile are stored from the last to the first,
    so a pixel that lies beyond the plane may be given the first one's address.
    """

    outputs: int
    blocks: int
    lanes: int
    tiles: int
    epilogue: Epilogue = ()
    dtype: str = "float32"


@attrs.frozen
class GroupedWinograd:
    """A grouped 3 x 3 convolution by F(m x m, 3 x 3), from the plane to the outputs of every tile.

    Blocks form `clusters`: the `reads` input blocks of one hold all that its `writes` output blocks need. For
    tile t of cluster q, whose output blocks are cut into vectors w of `width` lanes:

        d[b, r, s, v] = x[xo[q * reads + b] + xp[t] + r * row_stride + s * column_stride + v]
        V[i, b * lanes + v] = (Bᵀ d[b, :, :, v] B)_i
        M[i, w * width + u] = sum_c V[i, ct[q, w, c]] * k[q, w, i, c, u]
        y[yo[q * writes + o] + yp[t * m² + j] + v] = epilogue((Aᵀ M[:, o * lanes + v] A)_j)

    outputs: m. A patch has (m + 2)² elements, i counts them; the pixels of a tile are stored from the last to
             the first, so one that lies beyond the plane may be given the first one's address.
    virtual_channels: length of the sum: the input channels of the groups whose outputs lie in one vector.
    row_stride, column_stride: elements from a row (column) of the patch to the next.
    """

    outputs: int
    clusters: int
    reads: int
    writes: int
    lanes: int
    width: int
    virtual_channels: int
    tiles: int
    row_stride: int
    column_stride: int
    epilogue: Epilogue = ()
    dtype: str = "float32"

    @property
    def points(self) -> int:
        """Elements of a patch, and so products of a tile."""
        return (self.outputs + 2) ** 2

    @property
    def blocks(self) -> int:
        """Output blocks."""
        return self.clusters * self.writes

    @property
    def vectors(self) -> int:
        """Vectors of products of one cluster."""
        return self.writes * self.lanes // self.width


Workload = (
    IndexedConv
    | PairedConv
    | Depthwise
    | WindowPool
    | WindowSum
    | GlobalPool
    | Elementwise
    | LayerNorm
    | GroupNorm
    | Softmax
    | WinogradInput
    | WinogradOutput
    | GroupedWinograd
)
