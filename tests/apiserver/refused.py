"""Manifests that the API server refuses, by their fault, with the very words that a user reads."""

from .manifests import Json, adapter, base_model, endpoint, named, sourced, version

URI_HELP = (
    "write pvc://CLAIM/PATH, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, hf://ORG/NAME, "
    "oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@sha256:DIGEST, https://HOST/PATH, "
    "mlflow://NAME/VERSION or mlflow://NAME@ALIAS; after hf://ORG/NAME may stand /PATH and @REVISION; "
    "parts of a path consist of letters, digits and ._=+- and do not start with a dot"
)
OBJECT_NAME = "write the name of an object: at most 63 lowercase letters, digits, '-' and '.'"
SERVED_NAME = (
    "use letters, digits, '.', '_' and '-', with a letter or digit at both ends; "
    "'@' is what parts a name from its version"
)
DIGEST_HELP = "write sha256: and 64 lowercase hexadecimal digits, or leave digest out and read it in status"
FLAG_FORM = "write each flag as --name=value or --name, one to an element"
LABEL_VALUE = "write the value of a label: letters, digits, '.', '_' and '-'"
CPU_PARALLELISM = "an engine on cpu is one process: set parallelism.tensor to Auto or 1, and pipeline to 1"

ONE_FALLBACK = "a fallback is one of two things: set endpointRef or external, and not both"
FALLBACK_REGION = "requests stay in placement.regions: set fallback.external.region to the one that the server is in"
FALLBACK_URL = (
    "write https://HOST[:PORT][/PATH] or http://..., as OpenAI's clients take it for base URL; "
    "no user, query or fragment"
)
EXTERNAL = {"url": "https://models.example.com/v1", "model": "org/model"}


class Refusal:
    """A manifest, and everything that the API server has against it."""

    def __init__(self, manifest: Json, *complaints: str) -> None:
        self.manifest = manifest
        self.complaints = complaints


REFUSED = {
    "base: no version": Refusal(
        base_model(versions=[]),
        "spec.versions: Invalid value: 0: spec.versions in body should have at least 1 items",
    ),
    "base: too many versions": Refusal(
        base_model(versions=[{"version": n, "source": {"uri": "hf://o/n"}} for n in range(1, 66)]),
        "spec.versions: Too many: 65: must have at most 64 items",
    ),
    "base: version 0": Refusal(
        base_model(versions=[{"version": 0, "source": {"uri": "hf://o/n"}}]),
        "spec.versions[0].version: Invalid value: 0: "
        "spec.versions[0].version in body should be greater than or equal to 1",
    ),
    "base: a number twice": Refusal(
        base_model(versions=[{"version": 1, "source": {"uri": f"hf://o/{n}"}} for n in "ab"]),
        'spec.versions[1]: Duplicate value: {"version":1}',
    ),
    "base: name too long": Refusal(
        named(base_model(), "b" * 64),
        "metadata.name: Too long: may not be more than 63 bytes",
    ),
    "base: served name with a version": Refusal(
        base_model(servedModelName="llama@v1"),
        f'spec.servedModelName: Invalid value: "llama@v1": {SERVED_NAME}',
    ),
    "base: served name empty": Refusal(
        base_model(servedModelName=""),
        f'spec.servedModelName: Invalid value: "": {SERVED_NAME}',
    ),
    "adapter: active version not listed": Refusal(
        adapter(activeVersion=4),
        "spec.activeVersion: Invalid value: activeVersion 4 is not listed in versions: list it, or name a listed one "
        "(none is removed while active)",
    ),
    "adapter: no base": Refusal(
        adapter(baseModelRef=None),
        "spec.baseModelRef: Required value",
    ),
    "adapter: reference is no name": Refusal(
        adapter(baseModelRef={"name": "Tiny Chat"}),
        f'spec.baseModelRef.name: Invalid value: "Tiny Chat": {OBJECT_NAME}',
    ),
    "adapter: too much warm": Refusal(
        adapter(keepWarm=9),
        "spec.keepWarm: Invalid value: 9: spec.keepWarm in body should be less than or equal to 8",
    ),
    "adapter: digest of another kind": Refusal(
        adapter(versions=[version(digest="md5:00")]),
        f'spec.versions[0].digest: Invalid value: "md5:00": {DIGEST_HELP}',
    ),
    "adapter: steps that fall": Refusal(
        adapter(rollout={"steps": [{"weight": 50, "durationSeconds": 60}, {"weight": 5, "durationSeconds": 60}]}),
        "spec.rollout.steps: Invalid value: the weights of steps must not fall: to send less traffic to a version, set "
        "activeVersion back",
    ),
    "adapter: a step after one that stays": Refusal(
        adapter(rollout={"steps": [{"weight": 5}, {"weight": 50, "durationSeconds": 60}]}),
        "spec.rollout.steps: Invalid value: only the last step may be without durationSeconds: it stays until "
        "skipStepsFor names the version, and none follows",
    ),
    "adapter: a step of everything": Refusal(
        adapter(rollout={"steps": [{"weight": 100, "durationSeconds": 60}]}),
        "spec.rollout.steps[0].weight: Invalid value: 100: "
        "spec.rollout.steps[0].weight in body should be less than or equal to 99",
    ),
    "adapter: a step of no time": Refusal(
        adapter(rollout={"steps": [{"weight": 5, "durationSeconds": 0}]}),
        "spec.rollout.steps[0].durationSeconds: Invalid value: 0: "
        "spec.rollout.steps[0].durationSeconds in body should be greater than or equal to 1",
    ),
    "adapter: too many steps": Refusal(
        adapter(rollout={"steps": [{"weight": 5, "durationSeconds": 60}] * 17}),
        "spec.rollout.steps: Too many: 17: must have at most 16 items",
    ),
    "adapter: judged by too few requests": Refusal(
        adapter(rollout={"analysis": {"minRequests": 9}}),
        "spec.rollout.analysis.minRequests: Invalid value: 9: "
        "spec.rollout.analysis.minRequests in body should be greater than or equal to 10",
    ),
    "adapter: error rate in percent": Refusal(
        adapter(rollout={"analysis": {"maxErrorRate": 5}}),
        "spec.rollout.analysis.maxErrorRate: Invalid value: 5: "
        "spec.rollout.analysis.maxErrorRate in body should be less than or equal to 1",
    ),
    "adapter: must be faster": Refusal(
        adapter(rollout={"analysis": {"maxTimeToFirstTokenRatio": 0.5}}),
        "spec.rollout.analysis.maxTimeToFirstTokenRatio: Invalid value: 0.5: "
        "spec.rollout.analysis.maxTimeToFirstTokenRatio in body should be greater than or equal to 1",
    ),
    "adapter: fewer than no pods": Refusal(
        adapter(loading={"minReplicas": -1}),
        "spec.loading.minReplicas: Invalid value: -1: "
        "spec.loading.minReplicas in body should be greater than or equal to 0",
    ),
    "adapter: sleeps at once": Refusal(
        adapter(loading={"idleSeconds": 0}),
        "spec.loading.idleSeconds: Invalid value: 0: "
        "spec.loading.idleSeconds in body should be greater than or equal to 1",
    ),
    "source: unknown scheme": Refusal(
        sourced("ftp://models/german"),
        f'spec.versions[0].source.uri: Invalid value: "ftp://models/german": {URI_HELP}',
    ),
    "source: without TLS": Refusal(
        sourced("http://models/german"),
        f'spec.versions[0].source.uri: Invalid value: "http://models/german": {URI_HELP}',
    ),
    "source: password in the address": Refusal(
        sourced("https://me:mine@models/german"),
        f'spec.versions[0].source.uri: Invalid value: "https://me:mine@models/german": {URI_HELP}',
    ),
    "source: registry without tag": Refusal(
        sourced("oci://ghcr.io/german"),
        f'spec.versions[0].source.uri: Invalid value: "oci://ghcr.io/german": {URI_HELP}',
    ),
    "source: MLflow without version": Refusal(
        sourced("mlflow://german"),
        f'spec.versions[0].source.uri: Invalid value: "mlflow://german": {URI_HELP}',
    ),
    "source: a path of this machine": Refusal(
        sourced("/models/german"),
        f'spec.versions[0].source.uri: Invalid value: "/models/german": {URI_HELP}',
    ),
    "source: out of the claim": Refusal(
        sourced("pvc://models/../secrets"),
        f'spec.versions[0].source.uri: Invalid value: "pvc://models/../secrets": {URI_HELP}',
    ),
    "source: hub without a repository": Refusal(
        sourced("hf://gpt2"),
        f'spec.versions[0].source.uri: Invalid value: "hf://gpt2": {URI_HELP}',
    ),
    "source: revision of a bucket": Refusal(
        sourced("s3://models/german@v1"),
        f'spec.versions[0].source.uri: Invalid value: "s3://models/german@v1": {URI_HELP}',
    ),
    "source: claim with a secret": Refusal(
        sourced("pvc://models/german", secretRef={"name": "storage"}),
        "spec.versions[0].source: Invalid value: a pvc:// source is mounted and needs no credentials: remove secretRef",
    ),
    "endpoint: pods that cannot be replaced": Refusal(
        endpoint(rollout={"maxSurge": 0}),
        "spec.rollout.maxSurge: Invalid value: with maxSurge 0 no pod could be replaced: set maxUnavailable to at "
        "least 1",
    ),
    "endpoint: no such data type": Refusal(
        endpoint(engine={"dtype": "fp16"}),
        'spec.engine.dtype: Unsupported value: "fp16": supported values: "auto", "bfloat16", "float16", "float32"',
    ),
    "endpoint: quantization in words": Refusal(
        endpoint(engine={"quantization": "4 bit"}),
        'spec.engine.quantization: Invalid value: "4 bit": '
        "write one of vLLM's choices: lowercase letters, digits, '_' and '-'",
    ),
    "endpoint: image with a space": Refusal(
        endpoint(engine={"image": "vllm latest"}),
        'spec.engine.image: Invalid value: "vllm latest": write an image reference',
    ),
    "endpoint: rank in words": Refusal(
        endpoint(adapters={"maxRank": "high"}),
        'spec.adapters.maxRank: Invalid value: "high": write Auto, or a whole number from 1 to 512',
    ),
    "endpoint: rank as text": Refusal(
        endpoint(adapters={"maxRank": "16"}),
        'spec.adapters.maxRank: Invalid value: "16": write Auto, or a whole number from 1 to 512',
    ),
    "endpoint: no slots": Refusal(
        endpoint(adapters={"slots": 0}),
        "spec.adapters.slots: Invalid value: 0: write Auto, or a whole number from 1 to 512",
    ),
    "endpoint: value of no label": Refusal(
        endpoint(adapters={"selector": {"matchLabels": {"team": "a b"}}}),
        f'spec.adapters.selector.matchLabels[team]: Invalid value: "a b": {LABEL_VALUE}',
    ),
    "endpoint: more GPUs than a pod has": Refusal(
        endpoint(parallelism={"tensor": 16, "pipeline": 5}),
        "spec.parallelism: Invalid value: tensor times pipeline is the number of GPUs of one pod: at most 64",
    ),
    "endpoint: tensor parallel on CPU": Refusal(
        endpoint(accelerator={"resourceName": "cpu"}, parallelism={"tensor": 2}),
        f"spec.parallelism: Invalid value: {CPU_PARALLELISM}",
    ),
    "endpoint: stages on CPU": Refusal(
        endpoint(accelerator={"resourceName": "cpu"}, parallelism={"pipeline": 2}),
        f"spec.parallelism: Invalid value: {CPU_PARALLELISM}",
    ),
    "endpoint: products on CPU": Refusal(
        endpoint(accelerator={"resourceName": "cpu", "products": ["NVIDIA-H200"]}),
        "spec.accelerator: Invalid value: products name GPUs: remove them, or set resourceName to what those GPUs are "
        "asked for by",
    ),
    "endpoint: no extended resource": Refusal(
        endpoint(accelerator={"resourceName": "gpu"}),
        'spec.accelerator.resourceName: Invalid value: "gpu": write cpu, or an extended resource such as '
        "nvidia.com/gpu",
    ),
    "endpoint: a product twice": Refusal(
        endpoint(accelerator={"products": ["NVIDIA-H200", "NVIDIA-H200"]}),
        'spec.accelerator.products[1]: Duplicate value: "NVIDIA-H200"',
    ),
    "endpoint: a region twice": Refusal(
        endpoint(placement={"regions": ["eu-central-1", "eu-central-1"]}),
        'spec.placement.regions[1]: Duplicate value: "eu-central-1"',
    ),
    "endpoint: fewer than no replicas": Refusal(
        endpoint(replicas=-1),
        "spec.replicas: Invalid value: -1: spec.replicas in body should be greater than or equal to 0",
        ".spec.replicas: Invalid value: -1: should be a non-negative integer",
    ),
    "endpoint: flag and value apart": Refusal(
        endpoint(engine={"extraArgs": ["--seed", "1"]}),
        f'spec.engine.extraArgs[1]: Invalid value: "1": {FLAG_FORM}',
    ),
    "endpoint: short flag": Refusal(
        endpoint(engine={"extraArgs": ["-tp=2"]}),
        f'spec.engine.extraArgs[0]: Invalid value: "-tp=2": {FLAG_FORM}',
    ),
    "endpoint: flag that a field stands for": Refusal(
        endpoint(engine={"extraArgs": ["--seed=1", "--max-model-len=4096"]}),
        'spec.engine.extraArgs[1]: Invalid value: "--max-model-len=4096": '
        "--max-model-len is set by Tunefleet: remove it and use spec.engine.maxModelLength",
    ),
    "endpoint: flag that nothing stands for": Refusal(
        endpoint(engine={"extraArgs": ["--port=80"]}),
        'spec.engine.extraArgs[0]: Invalid value: "--port=80": --port is set by Tunefleet: remove it',
    ),
    "endpoint: flag with underscores": Refusal(
        endpoint(engine={"extraArgs": ["--served_model_name=gpt"]}),
        'spec.engine.extraArgs[0]: Invalid value: "--served_model_name=gpt": --served-model-name is set by Tunefleet: '
        "remove it and use servedModelName of the BaseModel",
    ),
    "endpoint: flag cut short": Refusal(
        endpoint(engine={"extraArgs": ["--enable-lo"]}),
        'spec.engine.extraArgs[0]: Invalid value: "--enable-lo": --enable-lora is set by Tunefleet: remove it',
    ),
    "endpoint: flag with a dot": Refusal(
        endpoint(engine={"extraArgs": ["--lora-modules.a=/x"]}),
        'spec.engine.extraArgs[0]: Invalid value: "--lora-modules.a=/x": --lora-modules is set by Tunefleet: remove it '
        "and use spec.adapters.selector",
    ),
    "endpoint: it stands in for itself": Refusal(
        endpoint(fallback={"endpointRef": {"name": "sample"}}),
        "spec.fallback.endpointRef: Invalid value: "
        "an endpoint cannot stand in for itself: name another one in fallback.endpointRef",
    ),
    "endpoint: a fallback that is nothing": Refusal(
        endpoint(fallback={"adapters": {}}),
        f"spec.fallback: Invalid value: {ONE_FALLBACK}",
    ),
    "endpoint: two fallbacks": Refusal(
        endpoint(fallback={"endpointRef": {"name": "spare"}, "external": EXTERNAL}),
        f"spec.fallback: Invalid value: {ONE_FALLBACK}",
    ),
    "endpoint: a fallback without a region": Refusal(
        endpoint(placement={"regions": ["eu-central-1"]}, fallback={"external": EXTERNAL}),
        f"spec.fallback: Invalid value: {FALLBACK_REGION}",
    ),
    "endpoint: a fallback in another region": Refusal(
        endpoint(placement={"regions": ["eu-central-1"]}, fallback={"external": EXTERNAL | {"region": "us-east-1"}}),
        f"spec.fallback: Invalid value: {FALLBACK_REGION}",
    ),
    "endpoint: a fallback by another protocol": Refusal(
        endpoint(fallback={"external": EXTERNAL | {"url": "ftp://models.example.com"}}),
        f'spec.fallback.external.url: Invalid value: "ftp://models.example.com": {FALLBACK_URL}',
    ),
    "endpoint: a fallback with a password in its URL": Refusal(
        endpoint(fallback={"external": EXTERNAL | {"url": "https://user:word@models.example.com/v1"}}),
        f'spec.fallback.external.url: Invalid value: "https://user:word@models.example.com/v1": {FALLBACK_URL}',
    ),
    "endpoint: a fallback's model with a quote": Refusal(
        endpoint(fallback={"external": EXTERNAL | {"model": 'a"b'}}),
        'spec.fallback.external.model: Invalid value: "a\\"b": '
        "write the name that the server knows the model by: letters, digits and ._:/@+- in between",
    ),
    "endpoint: a fallback's key with a blank": Refusal(
        endpoint(fallback={"external": EXTERNAL | {"secretRef": {"name": "provider", "key": "api key"}}}),
        'spec.fallback.external.secretRef.key: Invalid value: "api key": '
        "write a key of the Secret: letters, digits, '.', '_' and '-'",
    ),
}
