"""Estimated time of arrival at push-back, on the flights that left New York in 2013."""
