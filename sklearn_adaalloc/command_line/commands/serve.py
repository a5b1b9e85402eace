"""Answer requests of OpenAI's protocol by a saved policy, in front of servers.

Clients of OpenAI's protocol only change their address. Each request is decided,
sampled, judged, and answered with the best sample. If the environment variable
ADAALLOC_API_KEY is set, clients must send it as their key. Stop it with Ctrl-C or
SIGTERM: requests in flight are finished, and the exit code is 0. A second Ctrl-C ends
it at once.
"""

from sklearn_adaalloc.command_line._options import positive, whole

SUMMARY = "answer requests of OpenAI's protocol by a saved policy"
EXAMPLE = (
    "adaalloc serve policy --upstream http://localhost:8000/v1 "
    "--model Qwen/Qwen2.5-7B-Instruct --reward math --state stream.sqlite"
)


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument(
        "policy", nargs="?", metavar="POLICY", help="folder of a saved policy"
    )
    parser.add_argument(
        "--demo",
        action="store_true",
        help="show the endpoint with the model that comes with the package, its tasks "
        "and a policy that is learnt at once; needs no other option",
    )
    parser.add_argument(
        "--upstream",
        metavar="URL",
        help="server that answers, if the policy has one decoder; or a model that runs "
        "in this process: its name, folder, or embedded",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="name of the model, here and on the server",
    )
    parser.add_argument(
        "--decoder",
        nargs="+",
        metavar="NAME=URL,MODEL",
        help="a decoder of the policy, its server, and its model there; one for each. "
        "It also says which model stands for one that the policy knows by another name",
    )
    parser.add_argument(
        "--reward",
        metavar="KIND",
        help="vote (for a policy that was fitted with --selection vote), math (by the "
        "reference of each request), code (by its tests, in the sandbox), model:NAME "
        "(by a reward model: its name, folder, or embedded), or a function module:name "
        "of queries and answers",
    )
    parser.add_argument(
        "--price",
        nargs="+",
        metavar="[NAME=]PROMPT,ANSWER",
        help="price of a token of a prompt and of a token of an answer, or ANSWER "
        "alone, the price of an answer; with --decoder, one for each NAME; default: "
        "tokens of answers are counted",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    parser.add_argument(
        "--port",
        type=whole(0, 65_535),
        default=8100,
        metavar="N",
        help="0 for one that is free; default: 8100",
    )
    parser.add_argument(
        "--state",
        metavar="FILE",
        help="SQLite file of the stream, kept over restarts; several processes may "
        "share it",
    )
    parser.add_argument("--temperature", type=positive, default=0.7, metavar="T")
    parser.add_argument(
        "--max-new-tokens",
        type=whole(1),
        default=256,
        metavar="N",
        help="of an answer, where a request does not say; default: 256",
    )
    parser.add_argument(
        "--default-answer",
        default="I don't know.",
        metavar="TEXT",
        help="to a query that the policy gives no sample",
    )
    parser.add_argument(
        "--api-key-env",
        default="OPENAI_API_KEY",
        metavar="NAME",
        help="environment variable with the key of the server of --upstream; the key "
        "of a decoder is in NAME_DECODER, such as OPENAI_API_KEY_SMALL",
    )
    parser.add_argument(
        "--max-concurrency",
        type=whole(1),
        default=64,
        metavar="N",
        help="requests to a server at a time; default: 64",
    )
    parser.add_argument(
        "--max-in-flight",
        type=whole(1),
        default=1000,
        metavar="N",
        help="requests answered at a time, by each process; default: 1000",
    )
    parser.add_argument(
        "--max-queue",
        type=whole(0),
        default=1000,
        metavar="N",
        help="further requests that wait for their turn, at each process; those beyond "
        "are told to come again; default: 1000",
    )
    parser.add_argument(
        "--workers",
        type=whole(1),
        default=1,
        metavar="N",
        help="processes that share the port and the file of --state; one that dies is "
        "replaced; default: 1",
    )
    parser.add_argument(
        "--no-probe",
        action="store_true",
        help="start without asking the servers whether they have the model",
    )
    parser.add_argument(
        "--deadline",
        type=positive,
        default=120.0,
        metavar="SECONDS",
        help="that a request may take; default: 120",
    )
    parser.add_argument(
        "--timeout",
        type=positive,
        default=60.0,
        metavar="SECONDS",
        help="that a server may take to answer; default: 60",
    )
    parser.add_argument(
        "--max-retries",
        type=whole(0),
        default=2,
        metavar="N",
        help="further attempts where a server fails; default: 2",
    )
    parser.add_argument(
        "--max-body",
        type=whole(1),
        default=1_048_576,
        metavar="BYTES",
        help="of a request; default: 1 MiB",
    )


def run(options):
    """Load, listen, and answer."""
    from sklearn_adaalloc.command_line._serving import serve

    serve(options)
