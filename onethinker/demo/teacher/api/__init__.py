"""The HTTP APIs that the teacher serves: one file for each, with the same names in it.

PATH              where requests are posted
API               the API's name in the request log
parse_request     a request's JSON → ApiRequest; raises ApiError as the API would answer
format_response   ApiRequest and ApiResponse → the JSON of a response
stream_events     the same as server-sent events
format_error      an ApiError → the API's error JSON
"""
