"""Ask a server for predictions: this one, or the real TensorFlow Serving.

    with Client("http://localhost:8501/flowers") as client:
        client.predict("rose.jpg")["labels"]

One object for both transports. REST imports neither TensorFlow nor gRPC; gRPC loads TensorFlow's
messages, which takes some seconds, when the client is made.
"""

import weakref
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from typing import Any, Self

from serving.client_answers import Answer, join, rows
from serving.client_loop import LoopThread, wait
from serving.client_pictures import BATCH_SIZE, Batch, Pictures, batches_of
from serving.client_session import Session
from serving.client_tls import PathLike
from serving.client_window import CONCURRENCY, in_order


class Client:
    """A model on a server, for any number of threads.

    A call whose connection was refused or lost, or that was answered with 429, 503 or
    UNAVAILABLE, is made again, after a random wait that grows (and that is as long as the
    server's `Retry-After` at least). Nothing else is, and nothing beyond the call's time.

    Attributes:
        model: the name of the model, given or found.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 3,
        ca: PathLike | None = None,
        certificate: PathLike | None = None,
        key: PathLike | None = None,
    ) -> None:
        """Look at the address, and ask the server for the model's name where none is given.

        Args:
            url: `http://HOST:PORT` or `grpc://HOST:PORT`, with TLS `https://` or `grpcs://`;
                `/MODEL` or `/v1/models/MODEL` may follow, also with `:predict` at its end.
            model: the name of the model; not needed where the URL has it, or where the server
                speaks REST, lists its models (tensorflow_model_server does not) and has one.
            timeout_s: for each call, with its retries and the waits between them.
            retries: how often a request is sent again at most; 0 sends it once.
            ca: PEM file of whom the server's certificate is to be signed by; by default those
                that this machine (over gRPC: gRPC) trusts.
            certificate: PEM file that proves to the server who asks; needs `key`.
            key: PEM file of the certificate's private key, without a password.

        Raises:
            InvalidArgument: an argument is wrong, or the model is not clear.
            TypeError: an argument, here or of a call, is of another type than is said.
            ClientError: the server had to be asked for its models, and did not answer.
        """
        session = Session(
            url, model, timeout_s=timeout_s, retries=retries, ca=ca, certificate=certificate,
            key=key,
        )  # fmt: skip
        self._session = session
        self._loop = LoopThread(at_end=session.close)
        weakref.finalize(self, self._loop.stop)
        try:
            self.model = self._loop.run(session.open())
        except BaseException:
            self.close()
            raise

    def predict(
        self,
        pictures: Pictures,
        signature_name: str = "serving_default",
        input_name: str = "image_bytes",
        *,
        batch_size: int = BATCH_SIZE,
        concurrency: int = CONCURRENCY,
        timeout_s: float | None = None,
    ) -> Answer:
        """Run a signature on one picture or on any number of them.

        Args:
            pictures: a path, encoded bytes, a uint8 array of (height, width, 3),
                (height, width, 1) or (height, width), or a PIL image; or an iterable of these.
                Arrays and PIL images are sent as PNG, which loses nothing.
            signature_name: of the model.
            input_name: the one input of the signature.
            batch_size: pictures a request.
            concurrency: requests under way at once.
            timeout_s: for all pictures together; None takes the client's.

        Returns:
            Output name -> array with the pictures in front, in their order, also of a single
            one; strings as an array of `str`. For a classifier: `labels` (n, k) and `scores`
            float32 (n, k). Over REST the types are those of the JSON: numbers with a fraction
            are float32, others int64.

        Raises:
            InvalidArgument: no pictures, or one that is none; `.pictures` has its place.
            ClientError: no answer, or an error as the answer; `.pictures` has the places of the
                request that it is about. Nothing is sent any more, and no answer is kept.
        """
        ask = self._session.asker(signature_name, input_name, timeout_s, is_for_all=True)
        batches = batches_of(pictures, batch_size)
        begin = lambda batch: self._loop.begin(ask(batch))  # noqa: E731
        with closing(in_order(batches, begin, concurrency)) as asked:
            return join([wait(answer) for _, answer in asked])

    def predict_each(
        self,
        pictures: Pictures,
        signature_name: str = "serving_default",
        input_name: str = "image_bytes",
        *,
        batch_size: int = BATCH_SIZE,
        concurrency: int = CONCURRENCY,
        timeout_s: float | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Give the answer to each picture, in order, while the next ones are under way.

        No more than `batch_size` x `concurrency` pictures are in memory. The answers before a
        picture that fails are given; then its error is raised.

        Args:
            pictures: as for `predict`, taken from an iterator as they are sent; none give none.
            signature_name: of the model.
            input_name: the one input of the signature.
            batch_size: pictures a request.
            concurrency: requests under way at once.
            timeout_s: for each request; None takes the client's.

        Yields:
            Output name -> the picture's row of it: for a classifier `labels` (k,) and `scores`
            (k,).

        Raises:
            InvalidArgument: as `predict`.
            ClientError: as `predict`, or an output has no row for each picture.
        """
        ask = self._session.asker(signature_name, input_name, timeout_s, is_for_all=False)
        batches = batches_of(pictures, batch_size)
        return _rows(in_order(batches, lambda batch: self._loop.begin(ask(batch)), concurrency))

    def predict_bytes(
        self,
        values: Sequence[bytes],
        signature_name: str = "serving_default",
        input_name: str = "image_bytes",
        *,
        timeout_s: float | None = None,
    ) -> Answer:
        """Run a signature on encoded pictures, or on whatever its byte strings are, in a request.

        Args:
            values: one byte string an example.
            signature_name: of the model.
            input_name: the one input of the signature.
            timeout_s: None takes the client's.

        Returns:
            As `predict`.

        Raises:
            InvalidArgument: no values.
            ClientError: no answer, or an error as the answer.
        """
        return self._loop.run(
            self._session.predict_bytes(values, signature_name, input_name, timeout_s)
        )

    def status(self, *, timeout_s: float | None = None) -> dict[int, str]:
        """Give the state of each version, such as `{2: "AVAILABLE", 1: "END"}`, newest first.

        Raises:
            ClientError: no answer, or an error as the answer.
        """
        return self._loop.run(self._session.status(timeout_s))

    def metadata(self, *, timeout_s: float | None = None) -> dict[str, Any]:
        """Give the signatures of the newest version, in the JSON form of the REST interface.

        Raises:
            ClientError: no answer, or an error as the answer.
        """
        return self._loop.run(self._session.metadata(timeout_s))

    def close(self) -> None:
        """Close the connections; calls of other threads end, and the client has no others."""
        self._loop.stop()
        self._loop.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _rows(
    asked: Generator[tuple[Batch, "Future[Answer]"], None, None],
) -> Iterator[dict[str, Any]]:
    with closing(asked):
        for batch, answer in asked:
            yield from rows(batch, wait(answer))
