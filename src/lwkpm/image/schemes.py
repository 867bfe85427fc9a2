"""URIs that name no local image: what they are, and how to make an image of them. Used on error paths only."""

from __future__ import annotations

import os

from lwkpm.errors import ImageError

CODE_SCHEME = "LWKPM-E029"

UNPACK_OCI = "umoci unpack --rootless --image {rest} BUNDLE, then run BUNDLE/rootfs"
BUILD = "apptainer build NEW.sif {uri}, then run NEW.sif"

#: scheme -> (what it names, how to convert it). {uri} and {rest} (after the colon) are filled in.
SCHEMES = {
    "docker": ("an image in a container registry", BUILD),
    "docker-daemon": ("an image of the local docker", BUILD),
    "docker-archive": ("a docker archive", BUILD),
    "podman": (
        "an image of the local podman",
        "podman save -o NEW.tar {rest}; apptainer build NEW.sif docker-archive:NEW.tar",
    ),
    "containers-storage": (
        "an image of the local podman",
        "podman save -o NEW.tar {rest}; apptainer build NEW.sif docker-archive:NEW.tar",
    ),
    "oci": ("an OCI image layout", UNPACK_OCI),
    "oci-archive": ("an OCI archive", BUILD),
    "library": ("an image in a Sylabs library", BUILD),
    "shub": ("an image in Singularity Hub", BUILD),
    "oras": ("an image in an OCI registry", BUILD),
    "http": ("a file on a web server", "download it first, then run the file"),
    "https": ("a file on a web server", "download it first, then run the file"),
    "instance": ("a running apptainer instance", "name the image it was started from"),
}


def local_path(uri: str) -> str:
    """`uri` itself if it is a plain path; otherwise ImageError."""
    if not uri or "\0" in uri:
        why = "the name is empty" if not uri else "the name contains a NUL byte"
        raise ImageError(CODE_SCHEME, "no image named", why, "name a directory, a .sif or .sqfs file, or host://")
    scheme, _, rest = uri.partition(":")
    is_uri = rest.startswith("//") and scheme.replace("-", "").isalnum()
    if (scheme in SCHEMES or is_uri) and not os.path.exists(uri):
        raise _not_local(uri, scheme, rest.lstrip("/"))
    return uri


def _not_local(uri: str, scheme: str, rest: str) -> ImageError:
    what = f"cannot run {uri}: {scheme}: is not supported yet"
    if scheme == "host":
        why, fix = f"host:// takes nothing behind it, found {rest!r}", "write host:// alone; the program follows it"
        return ImageError(CODE_SCHEME, f"bad image {uri}", why, fix)
    if scheme == "file":
        return ImageError(
            CODE_SCHEME,
            f"bad image {uri}",
            "a file:// URI carries an absolute local path",
            "write file:///DIR/IMAGE",
        )
    if scheme not in SCHEMES:
        why, fix = f"the scheme {scheme}:// is not known", "name a directory, a .sif or .sqfs file, or host://"
        return ImageError(CODE_SCHEME, f"cannot run {uri}", why, fix)
    kind, convert = SCHEMES[scheme]
    why = f"{scheme}: names {kind}; lwkpm runs directories, squashfs and SIF files"
    return ImageError(CODE_SCHEME, what, why, "convert it: " + convert.format(uri=uri, rest=rest))
