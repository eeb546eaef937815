"""Our model as one of LeRobot's reward models, of type `rfm` (extra `lerobot`).

LeRobot finds it by `discover_packages_path=rfm.lerobot`, or where this package is imported, and the rest by the names
of its modules and classes: `configuration_rfm.RfmConfig`, `modeling_rfm.RfmRewardModel`,
`processor_rfm.make_rfm_pre_post_processors`. What it is handed is LeRobot's: batches of frames with the channels first.
"""

from rfm.lerobot.configuration_rfm import RfmConfig
from rfm.lerobot.modeling_rfm import RfmRewardModel
from rfm.lerobot.processor_rfm import make_rfm_pre_post_processors

__all__ = ["RfmConfig", "RfmRewardModel", "make_rfm_pre_post_processors"]
