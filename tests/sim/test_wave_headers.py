"""The stand-ins for lz4 and zlib that the waveform writer is compiled with."""

from __future__ import annotations

import subprocess
import zlib
from pathlib import Path

import pytest

from hwprm.core.resources import resource_dir

pytestmark = pytest.mark.sim

PROGRAM = r"""
#include <cstdio>
#include <vector>
#include <lz4.h>
#include <zlib.h>
int main(int, char** argv) {
    std::vector<char> in;
    for (int c; (c = getchar()) != EOF;) in.push_back((char)c);
    if (argv[1][0] == 'l') {
        std::vector<char> out(LZ4_compressBound((int)in.size()));
        int size = LZ4_compress_default(in.data(), out.data(), (int)in.size(), (int)out.size());
        fwrite(out.data(), 1, size, stdout);
    } else {
        std::vector<Bytef> out(compressBound(in.size()));
        uLongf size = out.size();
        if (compress2(out.data(), &size, (const Bytef*)in.data(), in.size(), 9) != Z_OK) return 1;
        fwrite(out.data(), 1, size, stdout);
    }
}
"""


@pytest.fixture(scope="module")
def packer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packer")
    (folder / "pack.cpp").write_text(PROGRAM)
    include = f"-I{resource_dir('sim') / 'include'}"
    subprocess.run(["c++", "-Wall", "-Wextra", "-Werror", include, "-o", "pack", "pack.cpp"], cwd=folder, check=True)
    return folder / "pack"


def unpack_lz4(data: bytes) -> bytes:
    """One LZ4 block without matches."""
    length, at = data[0] >> 4, 1
    assert data[0] & 15 == 0
    if length == 15:
        while True:
            length, at = length + data[at], at + 1
            if data[at - 1] != 255:
                break
    assert len(data) == at + length
    return data[at:]


@pytest.mark.parametrize("size", [0, 1, 14, 15, 16, 269, 270, 271, 65534, 65535, 65536, 200_000])
def test_round_trip(packer: Path, size: int) -> None:
    data = bytes(i * i % 251 for i in range(size))
    packed = subprocess.run([packer, "z"], input=data, capture_output=True, check=True).stdout
    assert zlib.decompress(packed) == data
    packed = subprocess.run([packer, "l"], input=data, capture_output=True, check=True).stdout
    assert unpack_lz4(packed) == data
