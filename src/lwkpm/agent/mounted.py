"""What can be told of an image that is a file only once it is mounted: the environment it asks for, and whether its
programs need our PMI libraries.
"""

from __future__ import annotations

import os

from lwkpm.container.host import may_call_pmi
from lwkpm.job.environment import app_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from lwkpm.job.plan import AppPlan
    from lwkpm.job.spec import AppContext

METADATA = (".singularity.d", "ch")


def complete_app(app: AppPlan, context: AppContext, root: str, environ: Mapping[str, str], shims: str) -> AppPlan:
    """`app` as it is to be started in the tree at `root` (such as /proc/PID/root), by the user's `context`.

    `shims` is the host's directory of our PMI libraries, which is bound into the container; '' when it is not.
    """
    env = dict(entry.partition("=")[::2] for entry in app.env)
    changed = False
    if any(os.path.isdir(f"{root}/{name}") for name in METADATA):
        changed = _add_image_environment(env, context, root, environ)
    if shims and may_call_pmi(root, (), app.argv[0], app.cwd, env):
        changed = _add_shims(env, app, root, shims) or changed
    return app.replace(env=tuple(f"{name}={value}" for name, value in env.items())) if changed else app


def _add_image_environment(env: dict[str, str], context: AppContext, root: str, environ: Mapping[str, str]) -> bool:
    """By the rules of `app_environment`; what was planned beyond the caller's variables stays."""
    from lwkpm.image.environment import read_environment

    image = read_environment(root)
    before = app_environment(environ, context, False, {})
    own = {name: value for name, value in env.items() if before.get(name) != value}
    env.update({**app_environment(environ, context, False, image), **own})
    return bool(image)


def _add_shims(env: dict[str, str], app: AppPlan, root: str, shims: str) -> bool:
    from lwkpm.image.shim import Tree, plan_shim

    shim = plan_shim(Tree(root=root), app.argv[0], app.cwd, env, shims)
    env.update({} if shim is None else shim.env)
    return shim is not None
