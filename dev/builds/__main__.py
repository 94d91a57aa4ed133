"""Build parts of the local cluster, and tests' servers, into the cache: `python -m dev.builds [NAME …]`, or all."""

import click

from dev.builds import coredns, distribution, etcd, fakegcs, helm, kubernetes, kwok, pause, versitygw
from dev.builds.gomodules import Build, ensure
from dev.settings import cache_directory

BUILDS: dict[str, Build] = {
    build.name: build
    for build in (
        *(kubernetes.BUILD, etcd.BUILD, pause.BUILD, coredns.BUILD, helm.BUILD, versitygw.BUILD, kwok.BUILD),
        *(distribution.BUILD, fakegcs.BUILD),
    )
}


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice(list(BUILDS)))
def main(names: tuple[str, ...]) -> None:
    for name in names or BUILDS:
        ensure(BUILDS[name], cache_directory())


if __name__ == "__main__":
    main()
