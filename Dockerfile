# The command line and the graph, for `compose.yaml`. Everything is as `make` installs it, without the tools of developers.
# On machines without a GPU `--build-arg PIP_EXTRA_INDEX_URL=` with PyTorch's index of CPU wheels gives a smaller image.
FROM python:3.11-slim-bookworm

# What the wheels of OpenCV and MediaPipe expect of the system.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libegl1 libgl1 libgles2 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

ARG PIP_EXTRA_INDEX_URL
WORKDIR /source
COPY constraints.txt pyproject.toml setup.py README.md LICENSE ./
COPY posellm_assets posellm_assets
RUN pip install --no-cache-dir --constraint constraints.txt . dagster-postgres

# Dagster writes beside its settings, whoever runs the container.
COPY compose.dagster.yaml ./
RUN mkdir --mode 777 /dagster \
    && cat posellm_assets/commands/starter/dagster.yaml compose.dagster.yaml > /dagster/dagster.yaml

# The folder that is worked in: the lake, posellm.yaml, and under .cache what was fetched.
ENV DAGSTER_HOME=/dagster HOME=/work POSELLM_LAKE=/work/data_lake PYTHONUNBUFFERED=1
WORKDIR /work
CMD ["posellm", "doctor"]
