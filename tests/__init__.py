"""Tests of s3batch: unit tests mirror src; servers holds the real S3 servers that tests run against."""
