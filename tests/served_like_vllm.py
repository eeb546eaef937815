"""A checkpoint that answers chat requests as vLLM does: frames are decoded from them, the model itself gives the
tokens.

Each fault that a real server may have can be put in.
"""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from rfm.batch.collator import VQACollator
from rfm.batch.pictures.frame_store import HeldFrames
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.frames.reader import resize_frames
from rfm.inference.engines.chat import ChatEngine
from rfm.model.load import load_model
from rfm.model.trained_format import trained_format

KINDS = {1: "progress", 2: "preference", 3: "similarity"}


class Served(ChatEngine):
    def __init__(self, folder, root, decoding=None, *, fault=None, is_vllm=True, as_video=None):
        given = {} if decoding is None else {"decoding": decoding}
        super().__init__(Path(root), trained=trained_format(str(folder)), as_video=as_video, **given)
        self.loaded, self.fault, self._vllm, self.asked = load_model(folder), fault, is_vllm, []
        self.loaded.model.eval()

    @property
    def is_vllm(self):
        return self._vllm

    def identity(self):
        return {"engine": "served"}

    def complete(self, requests, at_once):
        self.asked += requests
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        clips, prompt, as_video = _read(request["messages"][0]["content"])
        clips = [self._faulty(clip) for clip in clips]
        form = replace(self.loaded.form, use_multi_image=not as_video, resized_height=None, resized_width=None)
        if self.fault == "mode":
            form = replace(form, use_multi_image=not form.use_multi_image)
        rate = 1.0 if self.fault == "fps" else 2.0
        encoder = ConversationEncoder(self.loaded.tokenizer, self.loaded.spec, frames_per_second=rate)
        store = HeldFrames({str(at): list(clip) for at, clip in enumerate(clips)}, self.loaded.spec, form)
        batch = VQACollator(encoder, store, with_answers=False)([_row(clips, prompt)])
        counted = batch["input_ids"].shape[1] + (2 * len(clips) if self.fault == "template" else 0)
        text = request["messages"][1]["content"] if len(request["messages"]) > 1 else ""
        begun = encoder.text_ids(text) if text else ()
        said, tokens = self._tokens(batch, begun, request["max_tokens"])
        return {"text": said, "logprobs": tokens if request.get("logprobs") else None, "prompt_tokens": counted}

    def _faulty(self, clip):
        if self.fault == "frames":
            return clip[:32]
        if self.fault == "size":
            return resize_frames(clip, 2 * clip.shape[1], 2 * clip.shape[2], filter="box")
        if self.fault == "jpeg":
            return np.stack([_through_jpeg(frame) for frame in clip])
        return clip

    @torch.no_grad()
    def _tokens(self, batch, begun, most):
        tokenizer, ids, tokens = self.loaded.tokenizer, list(begun), []
        end = tokenizer.convert_tokens_to_ids("<|im_end|>")
        for _ in range(most):
            steps = torch.arange(1, len(ids) + 1)
            whole = batch | {
                "input_ids": torch.cat([batch["input_ids"], torch.tensor([ids], dtype=torch.int64)], 1),
                "attention_mask": torch.cat([batch["attention_mask"], torch.ones(1, len(ids), dtype=torch.int64)], 1),
                "position_ids": torch.cat([batch["position_ids"], batch["position_ids"][:, :, -1:] + steps], 2),
            }
            logs = self.loaded.model(**whole, logits_to_keep=1).logits[0, -1].log_softmax(0)
            top = logs.topk(20)
            words = [[tokenizer.decode([token]), float(log)] for log, token in zip(*top, strict=True)]
            tokens.append([words[0][0], words])
            ids.append(int(top.indices[0]))
            if ids[-1] == end:
                break
        return tokenizer.decode(ids[len(begun) :], skip_special_tokens=True), tokens


def _read(content):
    """Return the clips of a message, its prompt, and whether they came as video."""
    clips, as_video = [[]], False
    for part in content[:-1]:
        if part["type"] == "text":
            clips.append([])
        elif part["type"] == "video_url":
            as_video = True
            clips[-1] += [_picture(one) for one in part["video_url"]["url"].partition(",")[2].split(",")]
        else:
            clips[-1].append(_picture(part["image_url"]["url"].partition(",")[2]))
    return [np.stack(clip) for clip in clips if clip], content[-1]["text"], as_video


def _picture(encoded):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"))


def _through_jpeg(frame):
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=75)
    return np.asarray(Image.open(file))


def _row(clips, prompt):
    names = {1: ("",), 2: ("first_", "second_"), 3: ("reference_", "first_", "second_")}[len(clips)]
    row = {"sample_type": KINDS[len(clips)], "prompt": prompt}
    for at, (name, clip) in enumerate(zip(names, clips, strict=True)):
        row |= {f"{name}npz_path": str(at), f"{name}frame_indices": list(range(len(clip)))}
    return row
