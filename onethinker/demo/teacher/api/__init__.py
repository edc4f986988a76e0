"""The wire formats that the teacher speaks: one file for each, with the same few names in it.

PATH       where requests are posted
API        the name in the ledger
read       a request's JSON → Asked; raises WireError in the API's own words
write      Asked and Answered → the JSON of a whole reply
events     the same as server-sent events
failure    a WireError → the API's error JSON
"""
