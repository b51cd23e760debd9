import uuid
from typing import Any, ClassVar

from django.apps import apps
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.utils.translation import gettext_lazy as _

from carecollective.core.database import ClockTimestamp


class VerificationStatus(models.TextChoices):
    PENDING = "pending", _("Waiting for approval")
    APPROVED = "approved", _("Approved")
    REJECTED = "rejected", _("Not approved")


class VerificationStatusField(models.TextField):  # type: ignore[type-arg]
    """The legacy database's own enumerated type."""

    def db_type(self, connection: Any) -> str:
        return "verification_status"


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        fields = {"is_staff": True, "is_superuser": True, "verification_status": VerificationStatus.APPROVED} | fields
        return self.create_user(email, password, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A member, on the legacy system's `profiles` table: its columns stay as they are, ours are added beside them."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(_("e-mail address"), unique=True, null=True)
    name = models.TextField(_("name"))
    location = models.TextField(_("town"), null=True, blank=True)
    is_staff = models.BooleanField(_("staff"), default=False, db_column="is_admin")
    is_beta_tester = models.BooleanField(default=False)
    is_active = models.BooleanField(_("may sign in"), default=True)
    verification_status = VerificationStatusField(
        _("membership"), choices=VerificationStatus.choices, default=VerificationStatus.PENDING
    )
    application_reason = models.TextField(_("why they would like to join"), null=True, blank=True)
    rejection_reason = models.TextField(null=True, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, db_column="approved_by", related_name="+"
    )
    created_at = models.DateTimeField(_("member since"), db_default=ClockTimestamp(), editable=False)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    objects = UserManager()

    class Meta:
        db_table = "profiles"
        verbose_name = _("member")

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **options: Any) -> None:
        """Keep the row. A new password ends the member's tokens as it ends their sessions; so does being shut out."""
        has_new_password = getattr(self, "_password", None) is not None
        super().save(*args, **options)
        if has_new_password or not self.is_active:
            apps.get_model("knox", "AuthToken").objects.filter(user=self).delete()

    @property
    def is_approved(self) -> bool:
        return bool(self.verification_status == VerificationStatus.APPROVED)

    def get_full_name(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        return self.name.split(" ")[0]


class MessagingPreferences(models.Model):
    """What a member wants to hear of, on the legacy system's table; its trigger makes a row for each new member."""

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="messaging_preferences")
    email_notifications = models.BooleanField(_("E-mail me when I get a message"), default=True)
    quiet_hours_start = models.TimeField(_("Quiet from"), null=True, blank=True)
    quiet_hours_end = models.TimeField(_("until"), null=True, blank=True)
    updated_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        db_table = "messaging_preferences"

    def __str__(self) -> str:
        return f"Preferences of {self.user_id}"
