"""Objective of training: the loss of the task and auxiliary losses."""
