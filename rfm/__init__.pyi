from rfm.errors import RfmError as RfmError
from rfm.scoring.records import Curve as Curve
from rfm.scoring.records import Preference as Preference
from rfm.scoring.records import Progress as Progress
from rfm.scoring.remote.asynchronous import AsyncRewardClient as AsyncRewardClient
from rfm.scoring.remote.client import RewardClient as RewardClient
from rfm.scoring.reward_model import RewardModel as RewardModel
from rfm.scoring.success import SuccessRule as SuccessRule
from rfm.scoring.tracker import Tracker as Tracker
from rfm.steps import evaluate as evaluate
from rfm.steps import generate as generate
from rfm.steps import load_dataset as load_dataset
from rfm.steps import train as train

__all__ = [
    "AsyncRewardClient",
    "Curve",
    "Preference",
    "Progress",
    "RewardClient",
    "RewardModel",
    "RfmError",
    "SuccessRule",
    "Tracker",
    "evaluate",
    "generate",
    "load_dataset",
    "train",
]
