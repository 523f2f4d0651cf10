# The commands of this repository on a CPU, or with EXTRAS=[tpu,gcs] or [cuda] on a TPU or GPU:
#
#   docker build -t distilbert-flax .
#   docker run --rm -v "$PWD/runs:/repository/runs" distilbert-flax train.distill tiny
FROM python:3.12-slim
WORKDIR /repository
COPY . .
ARG EXTRAS=""
RUN python -m venv .venv \
    && .venv/bin/python -m pip install --no-cache-dir -c constraints.txt -e ".${EXTRAS}"
RUN .venv/bin/python -m train.distill --help > /dev/null
ENTRYPOINT [".venv/bin/python", "-m"]
CMD ["train.quickstart"]
