"""Pools of actors that outlive the loss of nodes."""

DEPTH = 2  # calls that an actor has at a time: one runs, and the next is there already
_MOST_STARTS = 20  # of each actor, before its loss is no accident


class Pool:
    """Actors of one kind, each of which takes calls as soon as it has started.

    An actor that is lost is replaced. Until the new one has started, the others get the
    work. So work goes on as long as one actor has room on the cluster. All others start
    after the first one: two pools share a cluster that has room for two actors only.

    Parameters
    ----------
    ray : module
    make : callable
        Returns a new actor. Its method ``ready`` returns when it can take calls.
    n_actors : int
        Their number.
    depth : int, default=2
        Largest number of calls that an actor has at a time.
    """

    def __init__(self, ray, make, n_actors, *, depth=DEPTH):
        self._ray = ray
        self._make = make
        self._n_actors = n_actors
        self._depth = depth
        self._most_starts = _MOST_STARTS * n_actors
        self._n_starts = 0
        self._n_calls = {}  # actors that take calls -> number of calls they have
        self._starting = {}  # reference to the start -> actor
        if n_actors:
            self._start()

    @property
    def starting(self):
        """References that are ready when an actor has started, or failed to."""
        return list(self._starting)

    @property
    def has_room(self):
        """Whether an actor can take a call."""
        return any(n < self._depth for n in self._n_calls.values())

    def take(self):
        """The actor with the fewest calls, for one more."""
        actor = min(self._n_calls, key=self._n_calls.get)
        self._n_calls[actor] += 1
        return actor

    def give_back(self, actor):
        """End a call of an actor."""
        if actor in self._n_calls:
            self._n_calls[actor] = max(self._n_calls[actor] - 1, 0)

    def suspect(self, actor):
        """Give no calls to an actor before it is known that it is still there."""
        if self._n_calls.pop(actor, None) is not None:
            self._starting[actor.ready.remote()] = actor

    def started(self, reference):
        """Let an actor take calls, or replace it if it was lost.

        Raises
        ------
        Exception
            The error of ``ready`` itself, such as that of a model that is not found.
        """
        actor = self._starting.pop(reference)
        try:
            self._ray.get(reference)
        except Exception as error:
            if not is_loss(self._ray, error) or self._n_starts >= self._most_starts:
                raise
            self._start()
        else:
            self._n_calls[actor] = 0
            while len(self._n_calls) + len(self._starting) < self._n_actors:
                self._start()

    def close(self):
        """End all actors, so that their CPUs and GPUs are free.

        Left to themselves, they would live as long as something refers to them, such as
        the traceback of an error. An idle one ends in order, and all others at once.
        """
        for actor, n_calls in self._n_calls.items():
            if n_calls:
                self._ray.kill(actor)
            else:
                actor.__ray_terminate__.remote()
        for actor in self._starting.values():
            self._ray.kill(actor)
        self._n_calls, self._starting = {}, {}

    def _start(self):
        actor = self._make()
        self._n_starts += 1
        self._starting[actor.ready.remote()] = actor


def is_loss(ray, error):
    """Whether an error is the loss of a node, a process or an object, not of a call."""
    if isinstance(error, ray.exceptions.RayTaskError):
        error = error.cause  # the call lost what it was given
    kinds = ray.exceptions
    lost = kinds.ObjectLostError, kinds.NodeDiedError, kinds.WorkerCrashedError
    if isinstance(error, kinds.RayActorError):
        return not error.actor_init_failed
    return isinstance(error, (*lost, kinds.OutOfMemoryError))
