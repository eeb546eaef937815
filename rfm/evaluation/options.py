"""The options of an evaluation: names, defaults and choices of `evaluate_vqa.py`."""

from __future__ import annotations

from dataclasses import dataclass, field

from rfm.errors import ConfigError
from rfm.inference.answering.decoding import METHODS, Decoding
from rfm.model.shipped import SHIPPED, resolve, resolved

CONTROLS = (
    "blank",
    "first_frame",
    "last_frame",
    "shuffled",
    "reversed",
    "frozen_tail",
    "other_instruction",
    "swapped",
    "floor",
)
ALL = "all"
ENGINES = ("hf", "openai", "vllm")
FRAMES_AS = ("images", "video")
DTYPES = ("float32", "bfloat16", "float16")
PROMPTINGS = ("gvl", "topreward", "roboreward")
MOST_NEW_TOKENS = 32768
BASELINES = ("constant", "random", "frame_difference")


@dataclass(frozen=True)
class EvaluateOptions:
    """Evaluate a checkpoint on a VQA dataset: accuracy, MAE and RMSE, every sample counted."""

    model_path: str = field(
        metadata={"help": "Trained checkpoint, metaworld-small, a server's name, or constant, random, frame_difference"}
    )
    dataset_path: str = field(metadata={"help": "Path to test dataset"})
    output_path: str = field(default="./eval_results.json", metadata={"help": "Path to save results JSON"})
    batch_size: int = field(default=8, metadata={"help": "Batch size for inference"})
    max_new_tokens: int = field(default=10, metadata={"help": "Max tokens to generate"})
    device: str = field(default="cuda", metadata={"help": "Device to use; the CPU where there is no GPU"})
    max_samples: int | None = field(default=None, metadata={"help": "Max samples to evaluate, from the start"})
    save_predictions: bool = field(default=True, metadata={"help": "Save individual predictions in the JSON"})
    controls: tuple[str, ...] = field(
        default=(),
        metadata={"help": "Ask again with a part of the content taken away; all of them", "choices": (*CONTROLS, ALL)},
    )
    baselines: tuple[str, ...] = field(
        default=(), metadata={"help": "Answer the same rows without a model", "choices": BASELINES}
    )
    calibrate_on: str | None = field(
        default=None, metadata={"help": "Validation set to fit the temperature of probabilities on"}
    )
    decoding: str = field(default="greedy", metadata={"help": "How answers are got", "choices": METHODS})
    num_beams: int | None = field(default=None, metadata={"help": "Of beam (default: 4)"})
    temperature: float | None = field(default=None, metadata={"help": "Of sample (default: 1.0)"})
    num_repeats: int | None = field(default=None, metadata={"help": "Draws that sample averages (default: 4)"})
    seed: int | None = field(default=None, metadata={"help": "Of sample (default: 0)"})
    both_orders: bool = field(default=False, metadata={"help": "Average scored over both orders of the videos"})
    engine: str = field(default="hf", metadata={"help": "What runs the model", "choices": ENGINES})
    base_url: str | None = field(default=None, metadata={"help": "Address of an OpenAI-compatible server, ends in /v1"})
    request_cache: str | None = field(default=None, metadata={"help": "Folder that keeps a server's replies for good"})
    frames_as: str | None = field(
        default=None,
        metadata={"help": "What openai and vllm are sent (default: as trained, else images)", "choices": FRAMES_AS},
    )
    input_format: str | None = field(
        default=None,
        metadata={"help": "Checkpoint folder that says how a server's model was trained (default: model_path)"},
    )
    server_check: bool = field(
        default=True,
        metadata={"help": "Compare token counts and known answers of openai and vllm with the checkpoint's first"},
    )
    dtype: str | None = field(
        default=None,
        metadata={"help": "Precision that vllm computes in (default: the checkpoint's)", "choices": DTYPES},
    )
    enforce_eager: bool = field(default=False, metadata={"help": "vllm without CUDA graphs and compilation"})
    prompting: str | None = field(
        default=None,
        metadata={"help": "Ask in another way than the dataset does, for stock models", "choices": PROMPTINGS},
    )
    prompt_file: str | None = field(
        default=None, metadata={"help": "Words of the question of --prompting roboreward, with {task} in them"}
    )
    max_unreadable: int = field(default=0, metadata={"help": "Rows without readable frames that are put up with"})
    base_model: str | None = field(
        default=None, metadata={"help": "Base model to take in place of the one that an adapter records"}
    )
    datasets_root: str | None = field(default=None, metadata={"help": "Folder that frame paths are relative to"})
    trust_remote_code: bool = field(default=False, metadata={"help": "Run code that a model brings along"})
    overwrite: bool = field(default=False, metadata={"help": "Replace results of another evaluation"})

    def __post_init__(self) -> None:
        resolve(self, "base_model", "input_format")
        if self.engine != "openai":  # a server calls its models as it likes
            resolve(self, "model_path")
        elif self.input_format is None and self.model_path in SHIPPED:  # as the line of `rfm serve-command` calls it
            object.__setattr__(self, "input_format", resolved(self.model_path))
        bounds = {"batch_size": 1, "max_new_tokens": 1, "max_unreadable": 0, "max_samples": 1}
        faults = [
            f"`{name}` must be at least {low}, but is {getattr(self, name)}"
            for name, low in bounds.items()
            if getattr(self, name) is not None and getattr(self, name) < low
        ]
        if self.max_new_tokens > MOST_NEW_TOKENS:
            faults.append(f"`max_new_tokens` must be at most {MOST_NEW_TOKENS}, but is {self.max_new_tokens}")
        for option, valid in (("controls", (*CONTROLS, ALL)), ("baselines", BASELINES)):
            faults += [
                f"`{option}` must be among {', '.join(valid)}, but one is {name!r}"
                for name in getattr(self, option)
                if name not in valid
            ]
        faults += self._without_effect()
        if self.prompting is not None and self.decoding != "greedy":
            faults.append(f"`prompting` must go with --decoding greedy, but goes with {self.decoding}")
        if self.engine == "openai" and self.base_url is None:
            faults.append("`base_url` must be given with --engine openai, for example http://localhost:8000/v1")
        if faults:
            raise ConfigError("\n".join(faults))
        self.how(discrete=False)

    def how(self, *, discrete: bool) -> Decoding:
        """Return the decoding settings; `discrete` is how the dataset asks for progress."""
        names = ("num_beams", "temperature", "num_repeats", "seed")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return Decoding(self.decoding, both_orders=self.both_orders, discrete=discrete, **given)

    def _without_effect(self) -> list[str]:
        """Return what is wrong with flags that others leave without effect."""
        wanted = {
            "num_beams": ("decoding", ("beam",)),
            "temperature": ("decoding", ("sample",)),
            "num_repeats": ("decoding", ("sample",)),
            "seed": ("decoding", ("sample",)),
            "base_url": ("engine", ("openai",)),
            "base_model": ("engine", ("hf",)),
            "request_cache": ("engine", ("openai",)),
            "frames_as": ("engine", ("openai", "vllm")),
            "input_format": ("engine", ("openai",)),
            "dtype": ("engine", ("vllm",)),
            "prompt_file": ("prompting", ("roboreward",)),
        }
        faults = [
            f"`{name}` must go with --{flag} {' or '.join(values)}, but `{flag}` is {getattr(self, flag)}"
            for name, (flag, values) in wanted.items()
            if getattr(self, name) is not None and getattr(self, flag) not in values
        ]
        switches = (("enforce_eager", False, ("vllm",)), ("server_check", True, ("openai", "vllm")))
        return faults + [
            f"`{name}` must go with --engine {' or '.join(engines)}, but `engine` is {self.engine}"
            for name, usual, engines in switches
            if getattr(self, name) is not usual and self.engine not in engines
        ]

    @property
    def all_controls(self) -> tuple[str, ...]:
        """The controls by name, each once."""
        return CONTROLS if ALL in self.controls else tuple(dict.fromkeys(self.controls))
