"""Manifests that the API server takes, by what is special about them."""

from .manifests import DIGEST, adapter, base_model, endpoint, named, sourced, version

ACCEPTED = {
    "base: one version": base_model(),
    "base: most versions": base_model(
        versions=[{"version": n, "source": {"uri": "hf://o/n"}, "digest": DIGEST} for n in range(1, 65)]
    ),
    "base: served name": base_model(servedModelName="Llama-3.1_8B"),
    "base: name of 63 characters": named(base_model(), "b" * 63),
    "adapter: one version": adapter(),
    "adapter: a former version is active": adapter(versions=[version(1), version(2), version(7)], activeVersion=2),
    "adapter: lineage": adapter(versions=[version(lineage={"dataset": "s3://data/v1", "score": "0.91"})]),
    "adapter: digest": adapter(versions=[version(digest=DIGEST)]),
    "adapter: nothing kept warm": adapter(keepWarm=0),
    "adapter: canary in steps": adapter(
        rollout={
            "steps": [{"weight": 1, "durationSeconds": 1}, {"weight": 50, "durationSeconds": 604800}, {"weight": 99}],
            "analysis": {"minRequests": 10, "maxErrorRate": 0, "maxTimeToFirstTokenRatio": 1.3},
            "paused": True,
            "skipStepsFor": 1,
        }
    ),
    "adapter: canary without analysis": adapter(rollout={"steps": [{"weight": 50}]}),
    "adapter: analysis without limits": adapter(rollout={"steps": [], "analysis": {}}),
    "adapter: steps of one weight": adapter(rollout={"steps": [{"weight": 5, "durationSeconds": 60}] * 2}),
    "adapter: sleeps": adapter(loading={"minReplicas": 0, "idleSeconds": 60}),
    "source: s3 with a secret": sourced("s3://models/german/v1", secretRef={"name": "storage"}),
    "source: a whole bucket": sourced("s3://models"),
    "source: trailing slash": sourced("s3://models/german/"),
    "source: claim": sourced("pvc://models/german/v1"),
    "source: hub": sourced("hf://org/repository", secretRef={"name": "hub"}),
    "source: hub, path and commit": sourced("hf://org/repository/sub/path@0123abc"),
    "source: Google's bucket": sourced("gs://models/german/v1", secretRef={"name": "storage"}),
    "source: Azure's container": sourced("az://models/german/v1", secretRef={"name": "storage"}),
    "source: web server": sourced("https://models.example.com:8443/german/v1/"),
    "source: registry, tag": sourced("oci://registry.example.com:5000/team/german:v1", secretRef={"name": "registry"}),
    "source: registry, digest": sourced(f"oci://ghcr.io/german@{DIGEST}"),
    "source: MLflow, version": sourced("mlflow://german/3/peft", secretRef={"name": "mlflow"}),
    "source: MLflow, alias": sourced("mlflow://german@champion", secretRef={"name": "mlflow"}),
    "source: hub, reference": sourced("hf://org/repository@refs/pr/1"),
    "endpoint: nothing but a model": endpoint(),
    "endpoint: on CPU": endpoint(accelerator={"resourceName": "cpu"}, parallelism={"tensor": 1}),
    "endpoint: weights kept on a claim": endpoint(modelCache={"claimName": "weights"}),
    "endpoint: GPUs": endpoint(
        parallelism={"tensor": 8, "pipeline": 8},
        accelerator={"products": ["NVIDIA-H100-80GB-HBM3", "NVIDIA-H200"]},
        placement={"regions": ["eu-central-1", "eu-west-1"]},
    ),
    "endpoint: another vendor's GPUs": endpoint(accelerator={"resourceName": "amd.com/gpu"}),
    "endpoint: adapters": endpoint(
        adapters={
            "selector": {"matchLabels": {"team": "support", "example.com/tier": "gold"}},
            "maxRank": 64,
            "slots": 4,
        }
    ),
    "endpoint: engine": endpoint(
        engine={
            "image": "registry.example.com:5000/vllm@sha256:" + "0" * 64,
            "dtype": "bfloat16",
            "quantization": "compressed-tensors",
            "maxModelLength": 131072,
            "maxConcurrentRequests": 256,
            "prefixCaching": False,
            "kvCacheDtype": "fp8_e4m3",
        }
    ),
    "endpoint: flags that are not ours": endpoint(
        engine={
            "extraArgs": [
                "--gpu-memory-utilization=0.9",
                "--enforce-eager",
                "--compilation-config.mode=3",
                "--model-impl=transformers",
                "--config-format=hf",
                '--speculative-config={"method": "ngram",\n "num_speculative_tokens": 4}',
            ]
        }
    ),
    "endpoint: pods replaced one by one": endpoint(replicas=3, rollout={"maxSurge": 1}),
    "endpoint: pods replaced without any more": endpoint(replicas=3, rollout={"maxSurge": 0, "maxUnavailable": 1}),
    "endpoint: surge alone may be whole": endpoint(rollout={"maxUnavailable": 0}),
    "endpoint: at zero": endpoint(replicas=0, rollout={"keepWarm": 0}),
    "endpoint: another stands in": endpoint(fallback={"endpointRef": {"name": "spare"}}),
    "endpoint: another stands in, for all adapters too": endpoint(
        fallback={"endpointRef": {"name": "spare"}, "adapters": {}}
    ),
    "endpoint: a provider stands in": endpoint(
        fallback={
            "external": {
                "url": "https://api.example.com/openai/v1/",
                "model": "org/model-7b:latest",
                "secretRef": {"name": "provider", "key": "token"},
            },
            "adapters": {"matchLabels": {"stand-in": "yes"}},
        }
    ),
    "endpoint: a server in an allowed region stands in": endpoint(
        placement={"regions": ["eu-central-1", "eu-west-1"]},
        fallback={"external": {"url": "http://llama.ml.svc:8080", "model": "tiny", "region": "eu-west-1"}},
    ),
}
