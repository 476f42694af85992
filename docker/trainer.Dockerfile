# The trainer: `tl finetune` on an NVIDIA GPU. The CUDA libraries come with tensorflow[and-cuda];
# the base brings what the NVIDIA container runtime looks for.
#
#   docker build -f docker/trainer.Dockerfile -t tl-trainer .
#   docker run --gpus all -v "$PWD:/data" tl-trainer finetune --dataset /data/pictures
FROM nvidia/cuda:12.5.1-base-ubuntu24.04

RUN apt-get update \
    && apt-get install --no-install-recommends -y git python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/tl
ENV PATH=/opt/tl/bin:$PATH

WORKDIR /src
COPY requirements/run.lock requirements/run.lock
RUN pip install --no-cache-dir --require-hashes -r requirements/run.lock \
    # The CUDA wheels are for Linux with a GPU only, so the lock that all machines share lacks them.
    && pip install --no-cache-dir "tensorflow[and-cuda]==$(pip show tensorflow | sed -n 's/^Version: //p')"
COPY pyproject.toml README.md LICENSE ./
COPY tl tl
COPY pipelines pipelines
COPY serving serving
RUN pip install --no-cache-dir --no-deps ./serving .

# Runs, models and caches are written to the mounted folder, as the user who owns it: pass --user.
WORKDIR /data
ENV TL_CACHE_DIR=/data/.cache/tl KERAS_HOME=/data/.cache/keras
ENTRYPOINT ["tl"]
CMD ["--help"]
