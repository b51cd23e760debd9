"""How the staff pages show times: `{% staff_time at %}`, and `{{ words|mark_times }}` for sentences that name one."""

from django import template

from carecollective.formats import moments

register = template.Library()
register.simple_tag(moments.as_time, name="staff_time")
register.filter("mark_times", moments.mark_times)
register.filter("ago", moments.ago)
register.filter("lasting", moments.lasting)
