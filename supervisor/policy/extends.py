"""Which policies a policy is made of, and in which order; and whether it is made of itself."""


def cycle(name: str, bases: dict[str, list[str]]) -> list[str]:
    """The way from a policy back to itself, or nothing."""
    ways = [[name]]
    seen = set()
    while ways:
        way = ways.pop()
        for base in bases[way[-1]]:
            if base == name:
                return [*way, name]
            if base not in seen:
                seen.add(base)
                ways.append([*way, base])
    return []


def lineage(name: str, bases: dict[str, list[str]]) -> list[str]:
    """The policy and all that it extends, each once, weakest first: a later base wins, the policy itself over all."""
    strongest_first: list[str] = []

    def visit(each: str) -> None:
        if each not in strongest_first:
            strongest_first.append(each)
            for base in reversed(bases[each]):
                visit(base)

    visit(name)
    return strongest_first[::-1]
