"""The words of the ROMs (docs/hardware.md); those of the sixth, `weights`, are a column's weights side by side."""

from __future__ import annotations

from hwprm.core.numerics import MULT_BITS
from hwprm.isa.hardware import Hardware
from hwprm.isa.word import Field, WordFormat

__all__ = ["entry_format", "layer_format", "param_format", "store_format", "table_formats", "tile_format"]


def _bits(maximum: int) -> int:
    return max(1, maximum.bit_length())


def entry_format(hw: Hardware) -> WordFormat:
    """A column-list entry: one kept column of the im2col matrix, one clock cycle.

    Only designs that hold signed and unsigned tensors have the field `unsigned`, only those with gates of one pixel
    `common`.
    """
    coordinate = hw.coordinate_bits
    return WordFormat(
        "entry",
        (
            Field("word", hw.word_bits, "Word of lane (0, 0)'s tap; wraps."),
            Field("bank", hw.bank_bits, "Bank of lane (0, 0)'s tap."),
            Field("y_low", coordinate, "First output row whose tap lies inside the map."),
            Field("y_high", coordinate, "One past the last such row."),
            Field("x_low", coordinate, "First output column whose tap lies inside the map."),
            Field("x_high", coordinate, "One past the last such column."),
            Field("guard", 1, "The pass counts only in lanes inside these bounds (padded pooling)."),
            Field("image", 1, "The tap lies in the image: the input buffer in use is added to the word."),
            *((Field("unsigned", 1, "The tap's tensor is unsigned."),) if hw.mixed else ()),
            *((Field("common", 1, "All lanes read this one activation, whatever their pixel."),) if hw.common else ()),
        ),
    )


def tile_format(hw: Hardware) -> WordFormat:
    """A descriptor: one filter tile over all its pixel tiles. Tails are for designs with residuals only, bases for
    those with phases.
    """
    in_rom = (
        Field("entry_base", _bits(hw.entries - 1), "First entry of the tile's column list."),
        Field("weight_base", _bits(hw.weights - 1), "First weight word."),
    )
    tail_in_rom = (
        Field("shared", _bits(hw.pass_length_max - 1), "Entries before the list goes on at its tail; 0 if never."),
        Field("tail_base", _bits(hw.entries - 1), "First entry of the tail."),
    )
    streamed = (Field("keep", 1, "The next tile uses the same column list: it stays in its ring."),)
    tail_streamed = (Field("tail", 1, "The list ends in residual entries, which come without a gap."),)
    idle_last = Field("idle_last", _bits(hw.idle_max), "The same after the last pixel tile.")
    base = Field("base_word", hw.word_bits, "Added to the words of the list's entries, but for those of the image.")
    tail = tail_streamed if hw.external else tail_in_rom
    return WordFormat(
        "tile",
        (
            *(streamed if hw.external else in_rom),
            *((base,) if hw.phased else ()),
            Field("param_base", _bits(hw.params - 1), "First filter's requantisation parameters."),
            Field("length", _bits(hw.pass_length_max - 1), "Entries of one pass, less one."),
            Field("passes", _bits(hw.passes_max - 1), "Pooling window positions, less one."),
            Field("idle", _bits(hw.idle_max), "Idle cycles after a pixel tile, so that stores keep up."),
            *((idle_last,) if hw.idle_differs else ()),
            Field("pixel_tiles", _bits(hw.pixel_tiles_max - 1), "Pixel tiles, less one."),
            Field("filters", _bits(hw.cols - 1), "Filters of this tile, less one."),
            Field("layer_first", 1, "First tile of a layer: wait for the previous layer's stores."),
            Field("layer_last", 1, "Last tile of a layer."),
            Field("frame_last", 1, "Last tile of the image."),
            *(tail if hw.residual_bits else ()),
        ),
    )


def layer_format(hw: Hardware) -> WordFormat:
    """Constants of a layer: how addresses grow with the output pixel, and how results are clamped.

    Only designs with batches have `height`, `image_word` and `wide_run`; those of them with layers whose pixel tiles
    end with the image also have `image_bank` and `image_tiles`. Only designs with tables behind the requantiser have
    `posted`, and those with several of them `post`. Only designs with products have `gated`.
    """
    coordinate = hw.coordinate_bits
    phases = Field("phases", _bits(hw.phases_max - 1), "Filters that share parameters, one channel's, less one.")
    images = (
        Field("height", coordinate, "Output rows: where lanes wrap to the next image."),
        Field("image_word", hw.word_bits, "Extra words when a lane wraps to the next image."),
        Field("wide_run", _bits(hw.batch * hw.wide_pixels_max), "Pixels of a wide layer up to a short tile."),
    )
    apart = (
        Field("image_bank", hw.bank_bits, "Where tiles end with the image: distance of images, with image_word."),
        Field("image_tiles", _bits(hw.pixel_tiles_max), "Pixel tiles of an image, where they end with it; else 0."),
    )
    posts = (
        *((Field("post", _bits(hw.posts - 1), "Number of the table that results are looked up in."),) * (hw.posts > 1)),
        Field("posted", 1, "Results are looked up in a table."),
    )
    gated = Field("gated", 1, "Residuals are multiplied with the activation that came `cols` entries before them.")
    return WordFormat(
        "layer",
        (
            Field("width", coordinate, "Output columns: where lanes wrap to the next row."),
            Field("step_x", coordinate, "Columns that a pixel tile advances, modulo width."),
            Field("step_y", coordinate, "Rows that a pixel tile advances."),
            Field("step_word", hw.word_bits, "Address advance of a pixel tile: words."),
            Field("step_bank", hw.bank_bits, "Address advance of a pixel tile: banks."),
            Field("lane_word", hw.word_bits, "Address distance of neighbouring lanes: words."),
            Field("lane_bank", hw.bank_bits, "Address distance of neighbouring lanes: banks."),
            Field("wrap_word", hw.word_bits, "Extra words when a lane wraps to the next row."),
            Field("stride", _bits(len(hw.strides) - 1), "Index of the lane permutation."),
            Field("clamp_low", hw.operand_bits, "Lower end of the clamp of stored activations.", signed=hw.signed),
            Field("clamp_high", hw.operand_bits, "Upper end of the clamp of stored activations.", signed=hw.signed),
            Field("wide_low", 32, "Lower end of the clamp of output words.", signed=True),
            Field("wide_high", 32, "Upper end of the clamp of output words.", signed=True),
            Field("wide", 1, "Results are output words."),
            Field("wide_first", 1, "First wide layer of the image: needs a free output buffer."),
            Field("wide_pixels", _bits(hw.wide_pixels_max), "Pixels of a wide layer (stride of its filters)."),
            Field("wide_base", _bits(hw.output_words), "First output word of a wide layer."),
            *((phases,) if hw.phased else ()),
            *(images if hw.batch > 1 else ()),
            *(apart if hw.apart else ()),
            *(posts if hw.posts else ()),
            *((gated,) if hw.gates else ()),
        ),
    )


def store_format(hw: Hardware) -> WordFormat:
    """Where a layer's results go; one word per stored (not wide) layer.

    Pixels are those of all images of a batch. Only designs that store rows and images apart have `height`, `step_y`,
    `image_*` and `extra_*`, only those whose pixel tiles end with the image somewhere `image_pixels` and `jump_*`.
    """
    stride = Field("stride", _bits(len(hw.store_strides) - 1), "Index of the lanes' distance.")
    phases = (
        Field("phases", _bits(hw.phases_max - 1), "Filters that make one channel, neighbouring columns, less one."),
        Field("tile_filters", _bits(hw.cols), "Filters of a filter tile but the last."),
    )
    repeats = (
        Field("repeat_y", _bits(hw.repeats_max[0] - 1), "Times a vector is stored below itself, less one."),
        Field("repeat_x", _bits(hw.repeats_max[1] - 1), "Times a vector is stored beside itself, less one."),
        Field("line_word", hw.word_bits, "From the last of a row of repetitions to the next row's first: words."),
        Field("line_bank", hw.bank_bits, "From the last of a row of repetitions to the next row's first: banks."),
    )
    rows = _bits(hw.pixels_max)
    images = (
        Field("height", rows, "Rows of an image, after which `image` is the way to the next row."),
        Field("step_y", rows, "Rows that a pixel tile advances, modulo height."),
        Field("image_word", hw.word_bits, "From an image's end to the next image: words."),
        Field("image_bank", hw.bank_bits, "From an image's end to the next image: banks."),
        Field("extra_word", hw.word_bits, "What that is more than from a row's end to the next row: words."),
        Field("extra_bank", hw.bank_bits, "What that is more than from a row's end to the next row: banks."),
    )
    apart = (
        Field("image_pixels", rows, "Pixels after which a pixel tile ends: those of an image, or all of them."),
        Field("jump_word", hw.word_bits, "From an image's last pixel tile to the next image: words."),
        Field("jump_bank", hw.bank_bits, "From an image's last pixel tile to the next image: banks."),
    )
    return WordFormat(
        "store",
        (
            Field("base_word", hw.word_bits, "Word of pixel 0 of filter 0 (the bank is 0)."),
            Field("channel_word", hw.word_bits, "From a channel's last phase, or only filter, to the next: words."),
            Field("channel_bank", hw.bank_bits, "From a channel's last phase, or only filter, to the next: banks."),
            Field("tile_word", hw.word_bits, "Address distance of filter tiles: words."),
            Field("tile_bank", hw.bank_bits, "Address distance of filter tiles: banks."),
            Field("gap_word", hw.word_bits, "From a row's end to the next row: words."),
            Field("gap_bank", hw.bank_bits, "From a row's end to the next row: banks."),
            Field("width", _bits(hw.pixels_max), "Computed pixels of a row, or all of them where rows are contiguous."),
            Field("step_x", _bits(hw.pixels_max), "Pixels that a pixel tile advances, modulo width."),
            Field("step_word", hw.word_bits, "Address advance of a pixel tile, before a row's end is met: words."),
            Field("step_bank", hw.bank_bits, "Address advance of a pixel tile, before a row's end is met: banks."),
            Field("pixels", _bits(hw.pixels_max), "Computed pixels of a channel."),
            Field("filters", _bits(hw.filters_max), "Filters of the layer."),
            Field("last", 1, "Last stored layer of the image."),
            Field("layer", _bits(hw.layers - 1), "Number of the layer, for the probe."),
            *((stride,) if hw.upsampling or hw.phased else ()),
            *(repeats if hw.upsampling else ()),
            *(phases if hw.phased else ()),
            *(images if hw.image_gaps else ()),
            *(apart if hw.apart else ()),
        ),
    )


def param_format(hw: Hardware) -> WordFormat:
    """Requantisation of one filter; `shift` counts from the design's smallest shift. No residuals, no `residual`."""
    residual = Field("residual", hw.residual_bits, "Multiplier of the residual; 0 where there is none.")
    return WordFormat(
        "param",
        (
            Field("bias", hw.sum_bits, "Bias at accumulator scale.", signed=True),
            Field("mult", MULT_BITS, "Multiplier."),
            Field("shift", _bits(hw.shift_max - hw.shift_min), "Right shift, less the design's smallest."),
            *((residual,) if hw.residual_bits else ()),
        ),
    )


def table_formats(hw: Hardware) -> dict[str, tuple[WordFormat, int]]:
    """Format and depth of the tables beside column lists and weights, by name."""
    return {
        "tiles": (tile_format(hw), hw.tiles),
        "layers": (layer_format(hw), hw.layers),
        "stores": (store_format(hw), hw.stores),
        "params": (param_format(hw), hw.params),
    }
