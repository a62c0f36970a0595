"""Installs the EasyMFT library, its applications and the `easymft` command."""

from setuptools import find_packages, setup

setup(
    name="easymft",
    version="0.1.0",
    description="Meta fine-tuning of BERT over several text domains, with an application zoo",
    license="Apache-2.0",
    python_requires=">=3.11,<3.12",
    packages=find_packages(include=["easymft", "easymft.*", "app_zoo", "app_zoo.*"]),
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
