"""Check that the GPUs of a training job can share its accumulation steps."""

from ..errors import BadInput


def check_shares(recipe: dict, gpus: int, nodes: int, name: str) -> None:
    """Check that each node has the same number of GPUs, and that they can share the steps of an update.

    Args:
        recipe: settings of an SFT run, as the config has them.
        gpus: of the job, over all its nodes; 0 trains on CPUs, with one process a node.
        name: the recipe's, for messages.
    Raises:
        BadInput: they cannot.
    """
    if gpus % nodes:
        raise BadInput(
            f"recipe {name}: {gpus} GPUs on {nodes} nodes, each needs the same number; change `gpus` or `nodes`"
        )
    steps, processes = recipe["gradient_accumulation_steps"], max(gpus, nodes)
    if steps % processes:
        fewer = max(count for count in range(1, processes) if steps % count == 0)
        raise BadInput(
            f"recipe {name}: gradient_accumulation_steps {steps} cannot be shared out over {processes} GPUs; set `gpus` to "
            f"{fewer} (the results stay the same), or gradient_accumulation_steps to {-(-steps // processes) * processes}"
        )
