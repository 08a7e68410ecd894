"""Schedule and memory map to the contents of the ROMs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hwprm.compiler.encoding.external import kept_lists
from hwprm.compiler.encoding.rom import RomImage, pack_records, pack_vectors
from hwprm.compiler.layout.geometry import LayerGeometry
from hwprm.compiler.layout.hardware import tables_of
from hwprm.compiler.layout.lists import entry_columns
from hwprm.compiler.layout.memory import MemoryMap, Placement
from hwprm.compiler.layout.rows import StoredRows, stored_rows
from hwprm.compiler.layout.schedule import Schedule
from hwprm.intnet import GemmLayer, IntegerNetwork
from hwprm.isa import Hardware, entry_format, layer_format, param_format, store_format, tile_format

__all__ = ["encode_roms", "list_bases"]

IntArray = NDArray[np.int64]


def encode_roms(
    net: IntegerNetwork, geometry: Sequence[LayerGeometry], memory_map: MemoryMap, schedule: Schedule, hw: Hardware
) -> tuple[RomImage, ...]:
    """The tables ``entries``, ``weights``, ``params``, ``tiles``, ``layers``, ``stores``, in ROMs or to be streamed,
    and ``posts``, those behind the requantiser, which always are in ROMs, where there are any.
    """
    posts = tables_of(net)
    lists = [entry_columns(net, geometry[i], memory_map, columns, hw) for i, columns in schedule.lists]
    entries = {name: np.concatenate([one[name] for one in lists]) for name in lists[0]}
    stored = [geo for geo in geometry if not geo.layer.wide]
    return (
        pack_records("entries", entry_format(hw), entries),
        pack_vectors("weights", np.concatenate(schedule.weights), hw.weight_bits),
        pack_records("params", param_format(hw), _params(geometry, hw)),
        pack_records("tiles", tile_format(hw), _tiles(geometry, schedule, hw)),
        pack_records(
            "layers", layer_format(hw), _columns([_layer(net, geo, memory_map, hw, geometry) for geo in geometry])
        ),
        pack_records(
            "stores", store_format(hw), _columns([_store(geo, memory_map, hw, stored) for geo in stored] or [_none()])
        ),
        *((pack_vectors("posts", np.concatenate(posts)[:, None], hw.act_bits),) if posts else ()),
    )


def list_bases(schedule: Schedule, geometry: Sequence[LayerGeometry]) -> IntArray:
    """First entry of each column list in the table, and the number of entries."""
    lengths = [(len(columns) + geometry[i].guarded) * len(geometry[i].windows) for i, columns in schedule.lists]
    return np.cumsum([0, *lengths])


def _columns(records: Sequence[Mapping[str, int]]) -> dict[str, IntArray]:
    return {name: np.array([record[name] for record in records], dtype=np.int64) for name in records[0]}


def _params(geometry: Sequence[LayerGeometry], hw: Hardware) -> dict[str, IntArray]:
    layers = [(geo.layer, geo.phases) for geo in geometry]  # phases share their parameters
    residual = [layer.residual.mult if layer.residual else np.zeros_like(layer.bias) for layer, _ in layers]
    residual = [mult[::phases] for mult, (_, phases) in zip(residual, layers, strict=True)]
    return {
        **({"residual": np.concatenate(residual)} if hw.residual_bits else {}),
        "bias": np.concatenate([layer.bias[::phases] for layer, phases in layers]),
        "mult": np.concatenate([layer.mult[::phases] for layer, phases in layers]),
        "shift": np.concatenate([layer.shift[::phases] for layer, phases in layers]) - hw.shift_min,
    }


def _tiles(geometry: Sequence[LayerGeometry], schedule: Schedule, hw: Hardware) -> dict[str, IntArray]:
    tiles = schedule.tiles
    places = _places(geometry, schedule, hw)
    param_base = np.cumsum([0] + [geo.filters // geo.phases for geo in geometry])
    records = []
    for i, tile in enumerate(tiles):
        last = i + 1 == len(tiles) or tiles[i + 1].layer != tile.layer
        records.append(
            {
                **places[i],
                **({"base_word": tile.base} if hw.phased else {}),
                "param_base": int(param_base[tile.layer]) + tile.first_filter // geometry[tile.layer].phases,
                "length": tile.length - 1,
                "passes": tile.passes - 1,
                "idle": tile.idle,
                **({"idle_last": tile.idle_last} if hw.idle_differs else {}),
                "pixel_tiles": tile.pixel_tiles - 1,
                "filters": tile.filters - 1,
                "layer_first": int(tile.first_filter == 0),
                "layer_last": int(last),
                "frame_last": int(i + 1 == len(tiles)),
            }
        )
    return _columns(records)


def _places(geometry: Sequence[LayerGeometry], schedule: Schedule, hw: Hardware) -> list[dict[str, int]]:
    """Where each tile's list and weights lie in the ROMs, or whether its list stays in the ring."""
    tiles = schedule.tiles
    if hw.external:
        tails = [{"tail": int(tile.residuals > 0)} if hw.residual_bits else {} for tile in tiles]
        kept = kept_lists(tiles, hw, hw.external)
        return [{"keep": int(keep), **tail} for keep, tail in zip(kept, tails, strict=True)]
    list_base = list_bases(schedule, geometry)
    weight_base = np.cumsum([0] + [len(words) for words in schedule.weights])
    places = []
    for tile, base in zip(tiles, weight_base[:-1], strict=True):
        place = {"entry_base": int(list_base[tile.list_index]), "weight_base": int(base)}
        if hw.residual_bits:
            place |= {"shared": tile.shared, "tail_base": int(list_base[tile.tail_index])}
        places.append(place)
    return places


def _layer(
    net: IntegerNetwork, geo: LayerGeometry, memory_map: MemoryMap, hw: Hardware, geometry: Sequence[LayerGeometry]
) -> dict[str, int]:
    layer = geo.layer
    source = memory_map[layer.terms[0].source]
    step_x = source.image if geo.channel_lanes else geo.step_x
    row = geo.step_y * source.pitch if geo.height > 1 else step_x * geo.width
    images, advance = divmod(hw.rows, geo.pixels) if geo.images > 1 else (0, hw.rows if geo.pixels > 1 else 0)
    step = hw.address(source.image * images + row * (advance // geo.width) + step_x * (advance % geo.width))
    lane, wrap = hw.address(step_x), hw.address(row - step_x * geo.width)
    wide_before = [other for other in geometry[: geo.index] if other.layer.wide]
    clamp = dict(zip(("clamp_low", "clamp_high"), (0, 0) if layer.wide else layer.clamp, strict=True))
    wide = dict(zip(("wide_low", "wide_high"), layer.clamp if layer.wide else (0, 0), strict=True))
    return {
        "width": geo.width,
        "step_x": advance % geo.width,
        "step_y": advance // geo.width,
        "step_word": step.word,
        "step_bank": step.bank,
        "lane_word": lane.word,
        "lane_bank": lane.bank,
        "wrap_word": wrap.word,
        "stride": hw.strides.index(geo.step_x % hw.banks) if geo.all_pixels > 1 else 0,
        **clamp,
        **wide,
        "wide": int(layer.wide),
        "wide_first": int(layer.wide and not wide_before),
        "wide_pixels": geo.pixels if layer.wide else 0,
        "wide_base": sum(other.pixels * other.filters for other in wide_before),
        **({"phases": geo.phases - 1} if hw.phased else {}),
        **(_post(net, layer, hw) if hw.posts else {}),
        **({"gated": int(layer.residual is not None and layer.residual.gate is not None)} if hw.gates else {}),
        **(_layer_images(geo, hw, source.image, row) if hw.batch > 1 else {}),
    }


def _post(net: IntegerNetwork, layer: GemmLayer, hw: Hardware) -> dict[str, int]:
    """Which table the results of `layer` are looked up in."""
    if layer.table is None:
        number = None
    else:
        words = layer.table & (1 << hw.act_bits) - 1
        number = next(i for i, table in enumerate(tables_of(net)) if np.array_equal(table, words))
    return {**({"post": number or 0} if hw.posts > 1 else {}), "posted": int(number is not None)}


def _layer_images(geo: LayerGeometry, hw: Hardware, image: int, row: int) -> dict[str, int]:
    """How lanes come from an image, with rows `row` activations apart in its sources, to the next, `image` further."""
    way = hw.address((image if geo.apart else image - row * geo.height) if geo.images > 1 else 0)
    apart = {"image_bank": way.bank, "image_tiles": geo.pixel_tiles(hw.rows) // geo.images if geo.apart else 0}
    return {
        "height": geo.height,
        "image_word": way.word,
        "wide_run": geo.run if geo.layer.wide else 0,
        **(apart if hw.apart else {}),
    }


def _store(geo: LayerGeometry, memory_map: MemoryMap, hw: Hardware, stored: Sequence[LayerGeometry]) -> dict[str, int]:
    place = memory_map[geo.layer.name]
    below, beside = geo.repeats
    rows = stored_rows(geo, place)
    tile_filters = geo.tile_filters(hw.cols)
    channel = hw.address(place.channel - (geo.phases - 1))
    tile = hw.address(place.channel * (tile_filters // geo.phases))
    gap = hw.address(rows.gap)
    line = hw.address(place.pitch - (beside - 1))
    step = hw.address(rows.offset(hw.rows, geo.store_step))
    stride = hw.store_strides.index(geo.store_step) if geo.all_pixels > 1 else 0
    repeats = {
        "repeat_y": below - 1,
        "repeat_x": beside - 1,
        "line_word": line.word,
        "line_bank": line.bank,
    }
    return {
        "base_word": place.base,
        "channel_word": channel.word,
        "channel_bank": channel.bank,
        "tile_word": tile.word,
        "tile_bank": tile.bank,
        "gap_word": gap.word,
        "gap_bank": gap.bank,
        "width": rows.width,
        "step_x": hw.rows % rows.width,
        "step_word": step.word,
        "step_bank": step.bank,
        "pixels": geo.all_pixels,
        "filters": geo.filters,
        "last": int(geo is stored[-1]),
        "layer": geo.index,
        **({"stride": stride} if hw.upsampling or hw.phased else {}),
        **(repeats if hw.upsampling else {}),
        **({"phases": geo.phases - 1, "tile_filters": tile_filters} if hw.phased else {}),
        **_store_images(geo, place, rows, hw),
    }


def _store_images(geo: LayerGeometry, place: Placement, rows: StoredRows, hw: Hardware) -> dict[str, int]:
    """How results come from an image to the next one, in designs where that is another way than to the next row."""
    image, extra = hw.address(rows.gap + rows.extra), hw.address(rows.extra)
    last = (geo.pixels - 1) // hw.rows * hw.rows  # the first pixel of an image's last tile
    jump = hw.address(place.image - rows.offset(last, geo.store_step) if geo.apart else 0)
    gaps = {
        "height": rows.height,
        "step_y": hw.rows // rows.width % rows.height,
        "image_word": image.word,
        "image_bank": image.bank,
        "extra_word": extra.word,
        "extra_bank": extra.bank,
    }
    apart = {"image_pixels": geo.run, "jump_word": jump.word, "jump_bank": jump.bank}
    return (gaps if hw.image_gaps else {}) | (apart if hw.apart else {})


def _none() -> dict[str, int]:
    """The store ROM of a network whose every layer is an output is never read, but a ROM has a word."""
    addresses = [f"{name}_{part}" for name in ("channel", "tile", "gap", "step") for part in ("word", "bank")]
    return dict.fromkeys(("base_word", *addresses, "width", "step_x", "pixels", "filters", "last", "layer"), 0)
