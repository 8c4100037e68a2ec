"""From trades to a served model, in steps that are recorded and can be taken up again.

`steps` runs any list of steps over one folder of records; `acts` says what Outcry's are.
"""
