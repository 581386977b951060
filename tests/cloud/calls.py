"""Which service and operation of AWS a request speaks to."""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs, unquote

_SCOPE = re.compile(r"Credential=[^/]+/\d+/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
_CBOR = re.compile(r"/service/[^/]+/operation/(\w+)\Z")
_NAMES = {"monitoring": "cloudwatch"}
"""Services whose name in signatures is not the one people use."""

_UNSIGNED = ("us-east-1", "s3")
"""S3 alone knows requests without a scope: public objects and the old presigned URLs."""

_ON_BUCKETS = {
    "DELETE": "DeleteBucket",
    "GET": "ListObjects",
    "HEAD": "HeadBucket",
    "POST": "PostObject",
    "PUT": "CreateBucket",
}
_ON_OBJECTS = {
    "DELETE": "DeleteObject",
    "GET": "GetObject",
    "HEAD": "HeadObject",
    "PUT": "PutObject",
}
_ON_UPLOADS = {
    "DELETE": "AbortMultipartUpload",
    "GET": "ListParts",
    "POST": "CompleteMultipartUpload",
    "PUT": "UploadPart",
}
_VERBS = {"DELETE": "Delete", "GET": "Get", "PUT": "Put"}
_ON_PARTS = {
    "accelerate",
    "acl",
    "cors",
    "encryption",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "notification",
    "ownershipControls",
    "policy",
    "publicAccessBlock",
    "retention",
    "tagging",
    "versioning",
    "website",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call of AWS; `protocol` is json, query or rest."""

    service: str
    operation: str
    region: str
    protocol: str


def read_call(method: str, url: str, headers: dict[bytes, bytes], form: bytes = b"") -> Call:
    """Tell the call from a request; `form` is the body of one that is form-encoded."""
    region, scope = _scope(headers.get(b"authorization", b"").decode("latin-1"), url)
    service = _NAMES.get(scope, scope)
    if target := headers.get(b"x-amz-target"):
        return Call(service, target.decode("latin-1").rpartition(".")[2], region, "json")
    if form:
        action = parse_qs(form.decode("latin-1")).get("Action", ["?"])[0]
        return Call(service, action, region, "query")
    if service == "s3":
        copies = b"x-amz-copy-source" in headers
        return Call(service, name_s3(method, url, copies=copies), region, "rest")
    path = url.partition("?")[0]
    cbor = _CBOR.search(path)
    return Call(service, cbor[1] if cbor else f"{method} {path}", region, "rest")


def _scope(authorization: str, url: str) -> tuple[str, str]:
    found = _SCOPE.search(authorization) or _SCOPE.search(_unquoted(url))
    return (found[1], found[2]) if found else _UNSIGNED


@lru_cache(maxsize=16)
def _unquoted(url: str) -> str:
    return unquote(url)


def name_s3(method: str, url: str, *, copies: bool = False) -> str:
    """Return the S3 operation of a request in path style."""
    path, _, query = url.partition("?")
    words = {key: value[0] for key, value in parse_qs(query, keep_blank_values=True).items()}
    if "x-id" in words:
        return words["x-id"]
    bucket, _, key = path.lstrip("/").partition("/")
    if not bucket:
        return "ListBuckets"
    return _name_object(method, words, copies=copies) if key else _name_bucket(method, words)


def _name_bucket(method: str, words: dict[str, str]) -> str:
    if "delete" in words:
        return "DeleteObjects"
    if "uploads" in words:
        return "ListMultipartUploads"
    if "versions" in words:
        return "ListObjectVersions"
    if words.get("list-type") == "2":
        return "ListObjectsV2"
    for part in _ON_PARTS & words.keys():
        return f"{_VERBS.get(method, method)}Bucket{part[0].upper()}{part[1:]}"
    return _ON_BUCKETS.get(method, method)


def _name_object(method: str, words: dict[str, str], *, copies: bool) -> str:
    if "uploads" in words:
        return "CreateMultipartUpload"
    if "uploadId" in words:
        name = _ON_UPLOADS.get(method, method)
        return f"{name}Copy" if copies else name
    for part in _ON_PARTS & words.keys():
        return f"{_VERBS.get(method, method)}Object{part.title().replace('-', '')}"
    return "CopyObject" if copies else _ON_OBJECTS.get(method, method)
