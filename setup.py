"""Installs the EasyMFT library, its applications and the `easymft` command."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
# Read, not imported: the libraries that easymft needs are not there yet.
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "easymft" / "__init__.py").read_text(encoding="utf-8"), re.M)

setup(
    name="easymft",
    version=VERSION[1],
    description="Meta fine-tuning of BERT over several text domains, with an application zoo",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    project_urls={"Paper": "https://arxiv.org/abs/2003.13003"},
    keywords=["BERT", "meta fine-tuning", "domain adaptation", "text classification", "TensorFlow"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Text Processing :: Linguistic",
    ],
    python_requires=">=3.10,<3.14",  # what TensorFlow 2.20 and tensorflow-text 2.20 have wheels for
    # app_zoo, the room of the command, is a top-level package beside the library; its docstring says whose it is.
    packages=find_packages(include=["easymft", "easymft.*", "app_zoo", "app_zoo.*"]),
    package_data={"easymft": ["configs/*.json", "configs/*/*"]},  # easymft/configs is a link to configs
    install_requires=[
        "tensorflow==2.20.*",
        "tf_keras==2.20.*",
        "tensorflow-text==2.20.*",
        "tf-models-official==2.20.*",
        "tensorboard==2.20.*",
        "absl-py",
        "numpy",
        "pydantic>=2.8",
        "pyarrow>=16",
        "safetensors>=0.4",
        "huggingface_hub>=0.25",
        "scikit-learn>=1.4",
        "matplotlib>=3.8",
        "scipy>=1.11",
        "filelock>=3.13",
        "rich>=13",
    ],
    extras_require={
        "excel": ["openpyxl>=3.1"],
        "gpu": ["tensorflow[and-cuda]==2.20.*"],
        "test": ["pytest>=8", "pytest-xdist>=3.5", "ruff>=0.6", "import-linter>=2.0", "openpyxl>=3.1"],
    },
    entry_points={"console_scripts": ["easymft = app_zoo.main:main"]},
)
