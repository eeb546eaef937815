"""A video file that names other files: nothing but the file itself is opened, neither here nor over the network."""

import http.server
import os
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from robot_datasets import SHARED, moving_square, write_video

from rfm.errors import DataError
from rfm.frames.video.decoding import decode_video, read_frames_at, read_video_frames

HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S">'
    '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>"
)
PLAYLISTS = {"hls": HLS, "concat": "ffconcat version 1.0\nfile '{}'\n", "dash": DASH}


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "elsewhere" / "private.mp4"
    write_video(path, moving_square(4))
    return path


@pytest.mark.parametrize("suffix", [".m3u8", ".mp4", ".ts", ".mpd", ".mkv", ".gif"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_is_no_video(tmp_path, secret, kind, suffix):
    path = tmp_path / f"list{suffix}"
    for target in (secret, os.path.relpath(secret, tmp_path), f"file:{secret}", f"concat:{secret}|{secret}"):
        path.write_text(PLAYLISTS[kind].format(target))
        for read in (
            decode_video,
            lambda path: read_video_frames(path, [0]),
            lambda path: read_frames_at(path, np.zeros(1), 1.0),
        ):
            with pytest.raises(
                DataError, match=r"video .*list.* must hold its pictures itself, but is a playlist of ot"
            ):
                read(path)


def test_no_request_leaves_the_machine(tmp_path):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_error(404)

    requests = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for kind, text in PLAYLISTS.items():
            path = tmp_path / f"{kind}.mp4"
            path.write_text(text.format(f"http://127.0.0.1:{server.server_port}/a.mp4"))
            with pytest.raises(DataError, match="is a playlist of other files"):
                decode_video(path)
        server.shutdown()
    assert requests == []


def test_names_that_ffmpeg_takes_for_something_else(tmp_path, secret, monkeypatch):
    """A file by the name of a protocol is read itself; a pattern of names and a picture are no video."""
    monkeypatch.chdir(tmp_path)
    frames = moving_square(6, seed=3)
    (tmp_path / "concat:elsewhere").mkdir()
    for name in ("subfile,,start,0,end,0,,:a.mp4", "concat:elsewhere/private.mp4", "http:a.mp4", "a%03d.mp4", "-i.mp4"):
        write_video(tmp_path / "made.mp4", frames)
        (tmp_path / "made.mp4").rename(name)
        found = decode_video(Path(name))
        assert np.array_equal(found.frames, frames)
    Image.fromarray(frames[0]).save(tmp_path / "p001.png")
    for name in ("p%03d.png", "p001.png"):
        with pytest.raises(DataError, match=r"must exist, but does not|must be in a container of videos"):
            decode_video(tmp_path / name)


def test_a_movie_whose_samples_lie_in_another_file(tmp_path, secret):
    """QuickTime's data references: the frames of a movie, named by an absolute path."""
    whole = secret.read_bytes()
    url = whole.index(b"url ")
    path = bytes(str(secret), "utf-8")
    box = (12 + len(path) + 1).to_bytes(4, "big") + b"url " + bytes(4) + path + b"\0"
    grown = whole[: url - 4] + box + whole[url + 8 :]
    for name in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):  # each holds the next, and has grown
        at = grown.index(name) - 4
        size = int.from_bytes(grown[at : at + 4], "big") + len(box) - 12
        grown = grown[:at] + size.to_bytes(4, "big") + grown[at + 4 :]
    (tmp_path / "movie.mov").write_bytes(grown.replace(whole[whole.index(b"mdat") + 4 :][:1000], bytes(1000), 1))
    secret_frames = decode_video(secret).frames
    try:
        shown = decode_video(tmp_path / "movie.mov").frames
    except DataError:
        return
    assert not any(np.array_equal(frame, other) for frame in shown for other in secret_frames)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "avi", "gif", "m4v", "ts", "mpg", "flv", "ogv"])
def test_containers_that_hold_their_pictures_are_read(tmp_path, suffix):
    codec = {"webm": "libvpx", "gif": "gif", "mpg": "mpeg1video", "ogv": "libtheora", "flv": "flv", "avi": "mpeg4"}
    name = codec.get(suffix, "libx264")
    if name not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {name}")
    with av.open(str(tmp_path / f"a.{suffix}"), "w") as container:
        stream = container.add_stream(name, rate=25)
        stream.height, stream.width = 32, 48
        stream.pix_fmt = "rgb8" if suffix == "gif" else "yuv420p"
        for at in range(8):
            image = np.full((32, 48, 3), 20 * at, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    assert len(decode_video(tmp_path / f"a.{suffix}").frames) == 8


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared inputs are not here")
def test_the_playlist_that_was_found():
    with pytest.raises(DataError, match=r"0.m3u8 must hold its pictures itself, but is a playlist of other files"):
        decode_video(SHARED / "found" / "hostile" / "hls_escape" / "roboreward" / "train" / "s" / "0.m3u8")
