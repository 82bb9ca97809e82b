"""Images come out upright and RGB, within budget, or with the reason why not."""

from __future__ import annotations

import base64
import contextlib
import http.server
import io
import os
import socket
import threading
import time

import numpy as np
import pytest
from data_sets import bare_png, encoded, make_image, png
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sightline.tasks.loading import downloads
from sightline.tasks.rows.decode_images import (
    Origin,
    decode,
    inspect,
    resized,
    shown,
    values,
    within_budget,
)
from sightline.tasks.rows.row_errors import Fault, UnusableRow
from sightline.views import original

NOWHERE = Origin()


def fault_of(value, origin: Origin = NOWHERE, look=decode) -> Fault:
    with pytest.raises(UnusableRow) as refused:
        look(value, origin)
    return refused.value.fault


def forms(folder) -> list:
    """One image in every form a cell may have."""
    data = png(1)
    (folder / "sub").mkdir()
    (folder / "sub" / "1.png").write_bytes(data)
    text = base64.b64encode(data).decode()
    lines = "\n".join(text[i : i + 76] for i in range(0, len(text), 76))
    return [
        Image.open(io.BytesIO(data)),
        data,
        bytearray(data),
        {"bytes": data, "path": None},
        {"bytes": data, "path": "/etc/passwd"},
        {"bytes": None, "path": "sub/1.png"},
        "sub/1.png",
        "./sub/../sub/1.png",
        str(folder / "sub" / "1.png"),
        text,
        lines,
        text.replace("+", "-").replace("/", "_"),
        f"data:image/png;base64,{text}",
    ]


def test_every_form_of_a_cell_gives_the_same_image(tmp_path):
    wanted = make_image(1).tobytes()
    for value in forms(tmp_path):
        shown = decode(value, Origin(tmp_path))
        assert (shown.mode, shown.size, shown.tobytes()) == ("RGB", (24, 16), wanted), repr(value)[:60]
        assert inspect(value, Origin(tmp_path)) == (24, 16)


def test_a_cell_holds_one_image_or_a_list_of_them():
    assert values(b"x") == [b"x"]
    assert values(["a.png", "b.png"]) == ["a.png", "b.png"]
    assert values('["a.png", "b.png"]') == ["a.png", "b.png"]
    assert values([]) == []
    for missing in (
        None,
        "",
        [None],
        [b"x", None],
        {"bytes": None, "path": None},
        {"bytes": None, "path": ""},
    ):
        with pytest.raises(UnusableRow) as refused:
            values(missing)
        assert refused.value.fault is Fault.MISSING_IMAGE


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_formats_that_are_read_and_found_cut_short(kind):
    data = encoded(make_image(2, 64, 48), kind)
    assert decode(data, NOWHERE).size == inspect(data, NOWHERE) == (64, 48)
    assert fault_of(data[: len(data) // 2]) in (Fault.TRUNCATED_IMAGE, Fault.DAMAGED_IMAGE)
    assert fault_of(data[: len(data) // 2], look=inspect) in (Fault.TRUNCATED_IMAGE, Fault.DAMAGED_IMAGE)


def test_formats_that_could_run_a_program_are_not_opened():
    postscript = encoded(make_image(1), "EPS")
    assert fault_of(postscript) is Fault.DAMAGED_IMAGE


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (b"", Fault.ZERO_SIZE),
        (bare_png(0, 5), Fault.ZERO_SIZE),
        (bare_png(5, 0), Fault.ZERO_SIZE),
        (Image.new("RGB", (0, 4)), Fault.ZERO_SIZE),
        (b"hello, this is no image", Fault.DAMAGED_IMAGE),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Fault.DAMAGED_IMAGE),
        (bare_png(30_000, 30_000), Fault.DECOMPRESSION_BOMB),
        (bare_png(10_000, 10_000), Fault.DECOMPRESSION_BOMB),
        (png(1, 900, 2), Fault.THIN_IMAGE),
        (3.5, Fault.WRONG_TYPE),
        ("data:image/png,notbase64", Fault.DAMAGED_IMAGE),
        ("A" * 49, Fault.DAMAGED_IMAGE),
        ("https://example.com/a.png", Fault.REFUSED_ADDRESS),
        ("file:///etc/passwd", Fault.REFUSED_ADDRESS),
        ("image.png", Fault.OUTSIDE_PATH),
    ],
)
def test_refusals_have_their_own_names_before_a_pixel_is_decoded(value, fault):
    assert fault_of(value, look=inspect) is fault
    assert fault_of(value) is fault


def test_cut_images_are_found_wherever_they_are_cut():
    for kind in ("PNG", "JPEG", "WEBP"):
        data = encoded(make_image(3, 64, 64), kind)
        for kept in (len(data) // 3, len(data) // 2, len(data) - 40):
            for look in (inspect, decode):
                found = fault_of(data[:kept], look=look)
                assert found in (Fault.TRUNCATED_IMAGE, Fault.DAMAGED_IMAGE), (kind, kept)


def test_a_png_whose_bytes_were_changed_fails_its_checksum():
    data = bytearray(png(4, 64, 64))
    data[len(data) // 2] ^= 0xFF
    assert fault_of(bytes(data), look=inspect) in (Fault.DAMAGED_IMAGE, Fault.TRUNCATED_IMAGE)


def test_a_jpeg_cut_after_its_thumbnail_is_not_taken_for_whole():
    exif = Image.Exif()
    data = encoded(make_image(5, 300, 300), "JPEG", exif=exif, comment=b"\xff\xd9")
    assert fault_of(data[: len(data) // 2], look=inspect) is Fault.TRUNCATED_IMAGE


# --- paths -----------------------------------------------------------------------------------------


def test_no_path_leads_out_of_the_set(tmp_path):
    inside, outside = tmp_path / "set", tmp_path / "secret"
    inside.mkdir()
    outside.mkdir()
    (outside / "s.png").write_bytes(png(1))
    (inside / "link.png").symlink_to(outside / "s.png")
    (inside / "folder").symlink_to(outside)
    (inside / "loop").symlink_to("loop")
    (inside / "real.png").write_bytes(png(1))
    (inside / "alias.png").symlink_to("real.png")
    origin = Origin(inside)
    for path in (
        "../secret/s.png",
        str(outside / "s.png"),
        "link.png",
        "folder/s.png",
        "/etc/passwd",
        "~/x.png",
    ):
        assert fault_of(path, origin) in (Fault.OUTSIDE_PATH, Fault.MISSING_IMAGE), path
        assert fault_of({"bytes": None, "path": path}, origin) in (Fault.OUTSIDE_PATH, Fault.MISSING_IMAGE)
    assert fault_of("../secret/s.png", origin) is Fault.OUTSIDE_PATH
    assert fault_of("link.png", origin) is Fault.OUTSIDE_PATH
    assert decode("alias.png", origin).size == (24, 16)
    for path in ("none.png", "loop", ".", "a\0b.png", "x" * 5000 + ".png"):
        assert fault_of(path, origin) in (Fault.MISSING_IMAGE, Fault.OUTSIDE_PATH), path[:20]


def test_a_pipe_in_the_set_does_not_hang_the_run(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert fault_of("pipe.png", Origin(tmp_path)) is Fault.MISSING_IMAGE


# --- addresses -------------------------------------------------------------------------------------


@pytest.fixture
def server():
    """Serves an image at /a.png, a redirect to /etc/passwd at /file, one to itself at /again."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            target = {"/file": "file:///etc/passwd", "/again": "/a.png", "/local": "http://127.0.0.2:9/a.png"}
            if self.path in target:
                self.send_response(302)
                self.send_header("Location", target[self.path])
                self.end_headers()
                return
            self.send_response(200 if self.path == "/a.png" else 404)
            self.end_headers()
            self.wfile.write(png(1) if self.path == "/a.png" else b"")

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def test_addresses_are_followed_only_where_allowed_and_never_into_this_network(server, monkeypatch):
    allowed = Origin(allow_urls=True)
    assert fault_of(f"{server}/a.png") is Fault.REFUSED_ADDRESS
    assert fault_of(f"{server}/a.png", allowed) is Fault.REFUSED_ADDRESS
    assert inspect("https://example.com/a.png", allowed) == (0, 0)
    for address in (
        "file:///etc/passwd",
        "ftp://example.com/a.png",
        "http://169.254.169.254/x",
        "http://[::1]/",
    ):
        assert fault_of(address, allowed) is Fault.REFUSED_ADDRESS, address
    real = downloads.is_public
    monkeypatch.setattr(downloads, "is_public", lambda host: host == "127.0.0.1" or real(host))
    assert decode(f"{server}/a.png", allowed).tobytes() == make_image(1).tobytes()
    assert decode(f"{server}/again", allowed).size == (24, 16)
    assert fault_of(f"{server}/file", allowed) in (Fault.REFUSED_ADDRESS, Fault.MISSING_IMAGE)
    assert fault_of(f"{server}/local", allowed) is Fault.REFUSED_ADDRESS
    assert fault_of(f"{server}/none", allowed) is Fault.MISSING_IMAGE
    monkeypatch.setattr("sightline.tasks.rows.decode_images.MOST_BYTES", 10)
    assert fault_of(f"{server}/a.png", allowed) is Fault.DECOMPRESSION_BOMB


def test_a_name_that_answers_otherwise_a_moment_later_leads_nowhere_else(server, monkeypatch):
    """The address that was checked is the one connected to."""
    port = int(server.rpartition(":")[2])
    asked, dialled, real = [], [], socket.getaddrinfo

    def resolve(host, *rest, **more):
        if host != "images.example":
            return real(host, *rest, **more)
        asked.append(host)
        return real("8.8.8.8" if len(asked) == 1 else "127.0.0.1", *rest, **more)

    def connect(connection, where):
        dialled.append(where[0])
        raise OSError("unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)
    assert fault_of(f"http://images.example:{port}/a.png", Origin(allow_urls=True)) is Fault.MISSING_IMAGE
    assert (len(asked), set(dialled)) == (1, {"8.8.8.8"})


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700:4700::1111", True),
        *(
            (inside, False)
            for inside in (
                *("10.0.0.1", "127.0.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "0.0.0.0"),
                *("::1", "fe80::1%1", "fd00::1", "ff02::1"),
                *("::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1"),
            )
        ),
    ],
)
def test_addresses_inside_a_network_however_they_are_written(address, public):
    assert downloads._is_public_address(address) is public


@pytest.mark.parametrize("stage", ["nothing", "headers", "body"])
def test_a_server_that_drips_is_given_up_in_all(stage, monkeypatch):
    """Each piece comes in time; all of them never do."""
    monkeypatch.setattr(downloads, "TOTAL", 0.4)
    monkeypatch.setattr(downloads, "is_public", lambda host: host == "127.0.0.1")
    stop = threading.Event()

    def drip(connection):
        with connection, contextlib.suppress(OSError):
            if stage != "nothing":
                connection.sendall(b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if stage == "body" else b"a: "))
            while not stop.wait(0.02):
                connection.sendall(b"" if stage == "nothing" else b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=lambda: drip(listening.accept()[0]), daemon=True).start()
        started = time.monotonic()
        with pytest.raises(UnusableRow, match=r"no whole answer within 0\.4 s"):
            downloads.download(f"http://127.0.0.1:{listening.getsockname()[1]}/a.png", 10**6)
        stop.set()
    assert time.monotonic() - started < 15


# --- colours and orientation -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "RGBa"]
)
def test_every_mode_becomes_rgb(mode):
    assert decode(Image.new(mode, (5, 4)), NOWHERE).mode == "RGB"


def test_what_is_transparent_becomes_white_and_not_black():
    drawing = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    drawing.putpixel((1, 1), (0, 0, 0, 255))
    shown = decode(encoded(drawing), NOWHERE)
    assert shown.getpixel((0, 0)) == (255, 255, 255)
    assert shown.getpixel((1, 1)) == (0, 0, 0)
    palette = drawing.convert("P")
    palette.info["transparency"] = palette.getpixel((0, 0))
    assert (
        decode(encoded(palette, transparency=palette.getpixel((0, 0))), NOWHERE).getpixel((0, 0))
        == (255,) * 3
    )


def test_sixteen_bits_keep_their_shades():
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    for kind in ("PNG", "TIFF"):
        shown = np.asarray(decode(encoded(Image.fromarray(ramp), kind), NOWHERE))[..., 0]
        assert np.array_equal(shown, (ramp >> 8).astype(np.uint8))
    stretched = np.asarray(
        decode(Image.fromarray(np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 4)), NOWHERE)
    )
    assert (stretched.min(), stretched.max()) == (0, 255)


def test_an_image_stored_on_its_side_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        data = encoded(make_image(7, 40, 20), kind, exif=exif)
        assert decode(data, NOWHERE).size == (20, 40), kind
        assert inspect(data, NOWHERE) == (20, 40), kind


# --- budget ----------------------------------------------------------------------------------------


@given(
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    st.integers(1, 5_000_000),
    st.integers(1, 5_000_000),
)
def test_the_pixel_budget_is_kept_and_the_ratio_with_it(size, low, high):
    low, high = min(low, high), max(low, high)
    width, height = within_budget(size, low if low * 4 < high else None, high)
    assert width >= 1 and height >= 1 and width * height <= high
    if low * 4 < high:
        assert (width + 1) * (height + 1) > min(low, size[0] * size[1])
    if min(width, height) > 20:
        assert width / height == pytest.approx(size[0] / size[1], rel=0.11)
    if low <= size[0] * size[1] <= high:
        assert (width, height) == size


def test_the_papers_budget():
    assert within_budget((4000, 3000), 200_704, 1_003_520) == (1156, 867)
    assert within_budget((100, 100), 262_144, 1_003_520) == (512, 512)
    assert within_budget((640, 480), None, None) == (640, 480)
    assert within_budget((300, 200), 200_704, 1_003_520) == (548, 365)  # cut, not raised, to whole pixels
    assert within_budget((2, 1), 100_000, 100_000) == (447, 223)
    image = make_image(1, 64, 64)
    assert resized(image, None, None) is image
    assert resized(image, None, 1024).size == (32, 32)


def test_an_image_within_its_budget_remembers_the_one_it_was_made_of():
    data = encoded(make_image(3, 90, 60), "PNG")
    small = shown(data, NOWHERE, None, 1000)
    assert small.size == (38, 25)
    assert original(small).size == (90, 60)
    assert original(small).tobytes() == decode(data, NOWHERE).tobytes()
    same = shown(data, NOWHERE, None, None)
    assert original(same) is same


# --- hostile bytes ---------------------------------------------------------------------------------

SEEDS = [
    encoded(make_image(9, 20, 20), kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=12),
    st.integers(0, 4000),
)
def test_mutated_files_give_an_image_or_a_reason(data, changes, kept):
    changed = bytearray(data)
    for place, value in changes:
        changed[place % len(changed)] = value
    hostile = bytes(changed[: max(kept, 1)])
    for look in (inspect, decode):
        try:
            shown = look(hostile, NOWHERE)
        except UnusableRow as refused:
            assert isinstance(refused.fault, Fault)
        else:
            assert shown[0] > 0 if isinstance(shown, tuple) else shown.mode == "RGB"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_random_cells_give_an_image_or_a_reason(tmp_path_factory, value):
    try:
        decode(value, Origin(tmp_path_factory.getbasetemp()))
    except UnusableRow as refused:
        assert str(refused).isprintable()
