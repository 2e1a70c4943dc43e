"""What a dry run plans with where a data set or an encoder is not here."""

from __future__ import annotations

from collections.abc import Sequence

from bench.data.catalog.dataset import Dataset, dataset_names, open_dataset
from bench.data.catalog.registration import SPLITS
from bench.data.catalog.releases import OFFICIAL
from bench.data.documents import Document
from bench.errors import UsageError
from bench.label_share import share_of
from bench.nn.encoder_source import AbsentEncoderError, EncoderSource, find_encoder


class AbsentDataset(Dataset):
    """Stands for a data set that is not here, as if it had every split, so that what it would take can be planned."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.splits = SPLITS
        self.relations = ()

    def checksum(self, split: str) -> str:
        """A text that stands for the content of a split: another one for each split of each data set."""
        return f"{self.name}, {split}"

    def documents(self, split: str) -> tuple[Document, ...]:
        """No documents: they are not here."""
        return ()

    def count(self, split: str) -> int:
        """The number of documents that were published. Raises LookupError for a split of which none were."""
        files = {file.split: file.documents for file in OFFICIAL[self.name].files}
        split, _ = share_of(split)
        count = files.get(split) or files.get({"ext": "train", "dev_ext": "dev"}.get(split, ""))
        if count is None:
            raise LookupError(f"{self.name}, {split}")
        return count

    def facts_source(self) -> dict[str, str]:
        """Training facts as a data set would have them that gives no file of its own."""
        return {"computed from": "train", "sha256": self.checksum("train")}


class StandIns:
    """Opens what is here, and puts something in the place of what is not. missing: what the user can do about that.

    datasets: by name, those asked for.   sources: by fingerprint, the encoders that are here.
    download: whether what is planned would fetch an encoder by itself.
    """

    def __init__(self, download: bool = False) -> None:
        self._download = download
        self.missing: list[str] = []
        self.datasets: dict[str, Dataset] = {}
        self.sources: dict[str, EncoderSource] = {}

    def dataset(self, name: str) -> Dataset:
        """The data set of that name, or an `AbsentDataset`. Raises UsageError for a name that nobody knows."""
        try:
            self.datasets[name] = open_dataset(name)
        except UsageError as error:
            if name not in dataset_names():
                raise
            self.missing.append(str(error))
            self.datasets[name] = AbsentDataset(name)
        return self.datasets[name]

    def encoder(self, name: str, train: Sequence[Document]) -> EncoderSource:
        """The encoder of that name, or one without weights. train: the documents that `tiny` takes its words from."""
        try:
            source = find_encoder(name, train)
            self.sources[source.fingerprint] = source
            return source
        except UsageError as error:
            fetched = self._download and isinstance(error, AbsentEncoderError)
            self.missing.append(
                f"--download fetches the encoder {name!r}, if the Hub has it" if fetched else str(error)
            )
            return EncoderSource(name, f"{name}, not here", None, None, None)
