from carecollective.staff.views import home, unanswered
from carecollective.web.admin_site import site

# At /admin/ the admin would list all models.
site.register_page("", home)
site.register_page("records/", site.index, name="records")
site.register_page("unanswered/", unanswered, name="staff_unanswered")
