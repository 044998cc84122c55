"""`python -m experiment_pipeline`."""

from experiment_pipeline.cli.main import main

if __name__ == "__main__":
    main()
