"""Deploys the documented endpoint on a running cluster until its input ends.

    python serve_endpoint.py ADDRESS PORT FOLDER

The environment has what the endpoint needs. FOLDER is that of `endpoint.py`.
"""

import os
import sys

if __name__ == "__main__":
    import ray
    from ray import serve

    address, port, folder = sys.argv[1:]
    sys.path.insert(0, folder)
    names = [name for name in os.environ if name.startswith(("ADAALLOC_", "LM_"))]
    places = os.pathsep.join([folder, os.environ["PYTHONPATH"]])
    variables = {name: os.environ[name] for name in names} | {"PYTHONPATH": places}
    ray.init(
        address=address,
        runtime_env={"env_vars": variables},
        log_to_driver=False,
        logging_level="ERROR",
    )
    try:
        # All nodes are on this machine, where one process has the port.
        options = {"host": "127.0.0.1", "port": int(port)}
        serve.start(proxy_location="HeadOnly", http_options=options)
        import endpoint

        serve.run(endpoint.app, name="adaalloc", route_prefix="/")
        print("ready", flush=True)
        sys.stdin.read()
    finally:
        serve.shutdown()
        ray.shutdown()
