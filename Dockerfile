# docker build -t my-project .          docs/docker.md has the rest
FROM python:3.12-slim

WORKDIR /project
# the user of `docker run --user` has no home here, and libraries want to cache in one
ENV HOME=/tmp

COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .

# a list, so that Python itself gets the SIGTERM of `docker stop` and saves a checkpoint
CMD ["python", "train.py", "-c", "config.json"]
