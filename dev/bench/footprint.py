"""`python -m dev.bench.footprint`: memory, CPU and import time of each process, with the demo's objects in the cluster.

Memory is the resident set of process 1 of the container, CPU its user and system time over a minute, both from /proc.
Import time is that of `import MODULE` in a fresh interpreter of the same image, the fastest of five.
"""

import time
from dataclasses import dataclass

import click
from rich.console import Console
from rich.table import Table

from dev.demo.prepare import NAMESPACE, SYSTEM_NAMESPACE
from dev.shell import Shell

from .figures import write_figures

MEMORY_AND_TICKS = """
import os
fields = open("/proc/1/stat").read().rpartition(")")[2].split()
rss = [l for l in open("/proc/1/status") if l.startswith("VmRSS")][0].split()[1]
print(int(rss) * 1024, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
"""
IMPORT = """
import subprocess, sys, time
def once(*code):
    start = time.perf_counter(); subprocess.run([sys.executable, "-c", *code], check=True)
    return time.perf_counter() - start
print(min(once("import MODULE") for _ in range(5)) - min(once("pass") for _ in range(5)))
"""


@dataclass(frozen=True)
class Process:
    """Where a process runs and what it imports."""

    name: str
    namespace: str
    component: str
    container: str
    module: str


PROCESSES = (
    Process("operator", SYSTEM_NAMESPACE, "operator", "operator", "tunefleet.handlers.process"),
    Process("gateway", SYSTEM_NAMESPACE, "gateway", "gateway", "tunefleet.gateway.process"),
    Process("agent", NAMESPACE, "engine", "agent", "tunefleet.agent.runtime"),
)


def python_in(shell: Shell, process: Process, pod: str, code: str) -> str:
    """Run Python in the process's container."""
    return shell.kubectl(
        "exec", "-n", process.namespace, pod, "-c", process.container, "--", "/opt/tunefleet/bin/python", "-c", code,
        quiet=True,
    )  # fmt: skip


def pods_of(shell: Shell, process: Process) -> list[str]:
    """Names of its running pods."""
    selector = f"app.kubernetes.io/component={process.component}"
    names = "jsonpath={.items[*].metadata.name}"
    running = "--field-selector=status.phase=Running"
    found = shell.kubectl("get", "pods", "-n", process.namespace, "-l", selector, running, "-o", names, quiet=True)
    return found.split()


def memory_and_ticks(shell: Shell, process: Process, pod: str) -> tuple[int, float]:
    """Resident bytes and CPU seconds so far."""
    memory, seconds = python_in(shell, process, pod, MEMORY_AND_TICKS).split()
    return int(memory), float(seconds)


@click.command(help=__doc__)
@click.option("--seconds", default=60, show_default=True, type=click.IntRange(5, 600), help="How long CPU is measured.")
def main(seconds: int) -> None:
    """Measure, show, write."""
    from dev.demo.__main__ import cluster_shell

    shell, console = cluster_shell(None), Console()
    pods = [(process, pod) for process in PROCESSES for pod in pods_of(shell, process)]
    before = {pod: memory_and_ticks(shell, process, pod)[1] for process, pod in pods}
    time.sleep(seconds)
    rows = []
    for process, pod in pods:
        memory, ticks = memory_and_ticks(shell, process, pod)
        cpu = (ticks - before[pod]) / seconds * 1000
        imported = float(python_in(shell, process, pod, IMPORT.replace("MODULE", process.module)))
        rows.append(
            {
                "process": process.name,
                "pod": pod,
                "rss_mb": memory / 1e6,
                "cpu_millicores": cpu,
                "import_seconds": imported,
            }
        )
    table = Table("process", "RSS MB", "CPU millicores, idle", "import s", title="Footprint", title_justify="left")
    for row in rows:
        figures = (f"{row[key]:.2f}" for key in ("rss_mb", "cpu_millicores", "import_seconds"))
        table.add_row(str(row["process"]), *figures)
    console.print(table)
    console.print(f"written: {write_figures('footprint', {'processes': rows})}")


if __name__ == "__main__":
    main()
