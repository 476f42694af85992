# The server alone: TensorFlow and the `serving` distribution, neither tl nor Keras models' code.
#
#   docker build -f docker/server.Dockerfile -t tl-server .
#   docker run --read-only --tmpfs /tmp -p 8500:8500 -p 8501:8501 -v "$PWD/models:/models:ro" tl-server
FROM python:3.12-slim

COPY requirements/serve.lock /tmp/serve.lock
RUN pip install --no-cache-dir --require-hashes -r /tmp/serve.lock
COPY serving /tmp/serving
RUN pip install --no-cache-dir --no-deps /tmp/serving && rm -rf /tmp/serving /tmp/serve.lock

# A model can do whatever TensorFlow operations can do: no root, and nothing to write to.
RUN useradd --system --no-create-home server
USER server
EXPOSE 8500 8501
HEALTHCHECK --interval=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/readyz')"]
ENTRYPOINT ["python", "-m", "serving"]
CMD ["/models", "--host", "0.0.0.0", "--port", "8500", "--rest-api-port", "8501"]
