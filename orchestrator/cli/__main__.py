"""``python -m affectgraph.orchestrator.cli``: the command line without its script."""

from affectgraph.orchestrator.cli.app import main

main()
