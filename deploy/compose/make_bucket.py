"""Make the bucket of DUOMI_IMAGE_DIR, unless it is there: the pipeline itself never does. Run by the service `bucket`.

Needs the storage's administrator in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
"""

import os
import sys
from urllib.parse import urlsplit

import botocore.session
from botocore.exceptions import ClientError

bucket = urlsplit(os.environ["DUOMI_IMAGE_DIR"]).netloc
if not bucket:
    sys.exit("DUOMI_IMAGE_DIR names no bucket: write s3://NAME")
storage = botocore.session.get_session().create_client("s3")
try:
    storage.head_bucket(Bucket=bucket)
except ClientError as error:
    if error.response["Error"]["Code"] != "404":
        raise
    storage.create_bucket(Bucket=bucket)
    print(f"made the bucket {bucket}")
else:
    print(f"the bucket {bucket} is there")
