"""The four datasets by name."""

from __future__ import annotations

from mmslg.conversion.base import DatasetReader, Options
from mmslg.conversion.dronevehicle import DroneVehicleReader
from mmslg.conversion.flir import FlirReader
from mmslg.conversion.kaist import KaistReader
from mmslg.conversion.llvip import LlvipReader

READERS: dict[str, type[DatasetReader]] = {
    reader.name: reader for reader in (FlirReader, LlvipReader, KaistReader, DroneVehicleReader)
}


def make_reader(name: str, options: Options | None = None) -> DatasetReader:
    """Return the reader of a dataset: ``flir``, ``llvip``, ``kaist`` or ``dronevehicle``."""
    return READERS[name](options)
