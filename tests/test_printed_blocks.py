"""Which printed commands are run (tests/printed), and which are not, for what reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from printed_blocks import blocks, documents
from printed_preparations import PREPARED

ROOT = Path(__file__).parents[1]
PAGE = """
<!-- given: run, attempt.mp4 -->
<!-- exit status: 1 -->
```
rfm audit a
```

```text
rfm is no command here
```

<!-- not run: needs a GPU -->
```
torchrun x
```

<!-- rest not run: hub -->
```python
import rfm
```

```
rfm train
```
"""


def test_what_is_said_of_a_block() -> None:
    audit, torchrun, python, train = blocks(PAGE)
    assert (audit.text, audit.given, audit.status, audit.not_run) == ("rfm audit a\n", ("run", "attempt.mp4"), 1, None)
    assert (torchrun.line, torchrun.not_run, torchrun.status) == (13, "needs a GPU", 0)
    assert (python.program, python.not_run, train.not_run) == ("python", "hub", "hub")


@pytest.mark.parametrize("document", documents(ROOT), ids=lambda path: path.name)
def test_reasons_and_things_are_known(document: Path) -> None:
    for block in blocks(document.read_text()):
        assert {*block.given} <= {*PREPARED}
        assert block.not_run is None or len(block.not_run) > 8, block
