"""`python -m dev.bench.gateway.in_pod URL OPTION...`: tunefleet-gateway as a pod runs it, without a kubeconfig.

Only where the account is comes from here: the API server in memory wants neither token nor TLS. With a kubeconfig the
process would import the Kubernetes library, which no pod does.
"""

import sys

from tunefleet.gateway.main import main
from tunefleet.kube import client
from tunefleet.kube.credentials import Server

if __name__ == "__main__":
    server = Server(sys.argv.pop(1))
    vars(client).update(in_pod=lambda: True, of_pod=lambda: server)
    main()
