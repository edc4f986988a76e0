"""Machine-readable metadata of a publication: Croissant 1.1 (mlcommons.org/croissant), as JSON-LD.

The vocabulary is Croissant's own context; files are found through the repository, as in the Hub's own metadata.
"""

from typing import Any

import pyarrow as pa

from corpus.hub.layout import features, slug

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TYPES = (
    (pa.types.is_floating, "sc:Float"),
    (pa.types.is_decimal, "sc:Float"),
    (pa.types.is_integer, "sc:Integer"),
    (pa.types.is_timestamp, "sc:DateTime"),
    (pa.types.is_string, "sc:Text"),
)


def describe_croissant(
    metadata: dict[str, Any], files: dict[str, dict[str, list[str]]], repo: str, licences: list[str]
) -> dict[str, Any]:
    """The JSON-LD of one publication: a file set and a record set for each config."""
    url = f"https://huggingface.co/datasets/{repo}"
    distribution: list[dict[str, Any]] = [
        {
            "@type": "cr:FileObject",
            "@id": "repo",
            "name": "repo",
            "description": "The repository, at the tag of this version.",
            "contentUrl": f"{url}/tree/v{metadata['version']}",
            "encodingFormat": "git+https",
            # A repository has no hash; Croissant prescribes this value.
            "sha256": "https://github.com/mlcommons/croissant/issues/80",
        }
    ]
    for config in sorted(files):
        distribution.append(
            {
                "@type": "cr:FileSet",
                "@id": f"files-{config}",
                "name": f"files-{config}",
                "description": f"The rows of {config}, by split and source.",
                "containedIn": {"@id": "repo"},
                "encodingFormat": "application/x-parquet",
                "includes": f"data/{config}/*/*.parquet",
            }
        )
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": slug(repo.split("/")[-1]),
        "description": (
            f"{metadata['rows']:,} verified chain-of-thought traces over images and videos: {metadata['name']}"
            f"@{metadata['version']}, fingerprint {metadata['fingerprint']}."
        ),
        "url": url,
        "version": f"{metadata['version']}.0.0",
        "license": sorted(licences),
        "datePublished": metadata["created_at"][:10],
        "creator": {"@type": "Organization", "name": repo.split("/")[0]},
        "citeAs": f"{repo}, version {metadata['version']}, fingerprint {metadata['fingerprint'][:16]}",
        "rai:dataCollection": "Teacher models answered the sources' questions; answers were scored against the truth.",
        "distribution": distribution,
        "recordSet": [_record_set(config) for config in sorted(files)],
    }


def _record_set(config: str) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": config,
        "name": config,
        "description": f"One verified trace a record, of the task family {config.replace('_', ' ')}.",
        "field": [_field(config, column) for column in _flat_columns()],
    }


def _flat_columns() -> list[pa.Field]:
    """The columns of one value; the Parquet files themselves describe the nested ones."""
    return [column for column in features().arrow_schema if any(is_type(column.type) for is_type, _ in _TYPES)]


def _field(config: str, column: pa.Field) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{config}/{column.name}",
        "name": column.name,
        "description": f"The column {column.name}.",
        "dataType": next(word for is_type, word in _TYPES if is_type(column.type)),
        "source": {"fileSet": {"@id": f"files-{config}"}, "extract": {"column": column.name}},
    }
