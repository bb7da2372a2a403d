"""What an exposition of metrics says, by name and labels."""

from collections.abc import Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]


class Samples(Mapping[tuple[str, Labels], float]):
    """The samples of an exposition; ValueError if one is there twice."""

    def __init__(self, text: str) -> None:
        self._values: dict[tuple[str, Labels], float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = sample.name, tuple(sorted(sample.labels.items()))
                if key in self._values:
                    raise ValueError(f"twice: {key}")
                self._values[key] = sample.value

    def __call__(self, name: str, **labels: str) -> float:
        """The value of one; KeyError if it is not there."""
        return self._values[name, tuple(sorted(labels.items()))]

    def __getitem__(self, key: tuple[str, Labels]) -> float:
        return self._values[key]

    def __iter__(self) -> Iterator[tuple[str, Labels]]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def by(self, name: str) -> dict[tuple[str, ...], float]:
        """The values of one metric that are not zero, by the values of its labels in the order of their names."""
        return {
            tuple(value for _, value in labels): value
            for (found, labels), value in self._values.items()
            if found == name and value
        }
